"""pytest-ipc bench --platform NAME=COMMAND: progress on several platforms, and their figures side by side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..bench.bench_output import show, write
from ..bench.bench_screen import Screen
from ..bench.remote_bench import Measured, measure_all
from ..command_error import CommandError
from ..reports.terminal import new_console, new_progress
from ..runner import build_bundle
from ..runner.stop import interrupted_by_signals

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["measure"]


class _Matrix:
    """The platforms while they are measured, and their reports."""

    def __init__(self, console: Console, options: argparse.Namespace) -> None:
        self.found: dict[str, Measured] = {}
        self.statuses: list[int] = []
        self._console, self._options = console, options
        self._progress = new_progress(console)
        self._screens: dict[str, Screen] = {}

    def began(self, name: str, steps: int) -> None:
        """Show a platform that has started."""
        self._screens[name] = Screen(self._console, name, self._progress)
        self._screens[name].begin(steps)

    def step(self, name: str, number: int, what: str) -> None:
        """Show a step."""
        self._screens[name].step(number, what)

    def ended(self, found: Measured) -> None:
        """Show the end of a platform; write its report at once, independent of the others."""
        self.found[found.name] = found
        if (screen := self._screens.get(found.name)) is not None:
            screen.end()
        report = found.report
        if found.refusal:
            self.statuses.append(2 if report is None else 3)
            what = "cannot be measured" if report is None else "the platform was lost, with the figures so far"
            self._say(found.name, f"{what}: {found.refusal}")
        elif report is None or not report.figures:
            self.statuses.append(3)
        if report is not None and self._options.json is not None:
            try:
                write(self._options.json / f"{found.name}.json", report)
            except CommandError as error:
                self.statuses.append(error.status)
                self._say(found.name, str(error))

    def _say(self, name: str, text: str) -> None:
        from rich.text import Text

        self._console.print(Text.assemble((name, "bold"), "  ", text))

    @property
    def exit_status(self) -> int:
        """Return the gravest status: interrupted, lost or not written, not measured."""
        return max(self.statuses, default=0)


def measure(options: argparse.Namespace, patience: float, *, longer_if_slow: bool) -> int:
    """Run `pytest-ipc bench --platform` and return the exit status.

    A platform that is silent for *patience* seconds is given up.
    """
    try:
        content = build_bundle.opening()
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    console = new_console()
    matrix = _Matrix(console, options)
    with interrupted_by_signals() as stop:
        try:
            measure_all(
                options.platforms,
                content,
                {"names": options.names, "quick": options.quick},
                matrix,
                patience=patience,
                longer_if_slow=longer_if_slow,
                at_once=options.at_once or 1,
            )
        except KeyboardInterrupt:
            matrix.statuses.append(128 + stop.signo)
        console.print()
        reports = [
            report
            for platform in options.platforms
            if platform.name in matrix.found and (report := matrix.found[platform.name].report) is not None
        ]
        if reports:
            show(console, reports, options.html, options.link)
    return matrix.exit_status
