"""The progress of a benchmark, on a terminal or line by line in a log."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.text import Text

from ..reports.terminal import new_progress
from .figures import Figure
from .sampling import Missing

__all__ = ["Screen"]


class Screen:
    """A listener that shows the steps of one platform, under its *name* if there are several."""

    def __init__(self, console: Console, name: str = "", progress: Progress | None = None) -> None:
        self._console, self._name = console, name
        self._progress = progress or new_progress(console)
        self._task: TaskID | None = None
        self._total = 0

    def begin(self, total: int) -> None:
        """Show the number of steps."""
        self._total = total
        if self._console.is_terminal:
            self._task = self._progress.add_task(self._name or "measuring", total=total, counts="")
            self._progress.start()
        else:
            self._say(f"{total} measurements")

    def step(self, number: int, what: str) -> None:
        """Show a step on a terminal, every tenth of them in a log."""
        if self._task is not None:
            self._progress.update(self._task, completed=number - 1, counts=what, refresh=True)
        elif number * 10 // self._total > (number - 1) * 10 // self._total:
            self._say(f"{number}/{self._total} measurements: {what}")

    def measured(self, figure: Figure) -> None:
        """Ignore a figure: all are shown at the end."""

    def missing(self, entry: Missing) -> None:
        """Ignore a reason, likewise."""

    def end(self) -> None:
        """Remove the bar; the last bar stops the display."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        if not self._progress.tasks:
            self._progress.stop()

    def _say(self, text: str) -> None:
        self._console.print(Text.assemble((self._name, "bold"), "  " if self._name else "", text))
