"""The verdict on a terminal or in a log: progress while the suite runs, then the result with its reasons.

The parts are shared by one platform and several.
"""

from __future__ import annotations

import re
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ...printable import counted
from ..result import VERDICTS, ClauseResult, SuiteResult, Verdict
from .expectations import Comparison, Expectation
from .flag_names import named

__all__ = [
    "STYLES",
    "Screen",
    "differences",
    "new_console",
    "new_progress",
    "new_table",
    "observations",
    "print_hanging",
    "sentence",
    "slowest",
]

STYLES = {
    "holds": "green",
    "deviates": "bold red",
    "disputed": "yellow",
    "absent": "magenta",
    "untested": "cyan",
    "broken": "bold white on red",
}
_CALL = re.compile(r"(\[pid \d+\] )*\w+\(.*= ")
# In the order of importance to the reader.
_REPORTED = [verdict for verdict in VERDICTS if verdict != "holds"]


def new_console() -> Console:
    """Return a console on the standard output. Without a terminal it has no width: log lines are not cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 1000)


def new_progress(console: Console) -> Progress:
    """Return a progress display: a bar and counts for each task."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        console=console,
        transient=True,
        auto_refresh=False,  # no thread: the suite forks
    )


def new_table(console: Console, what: str, verdicts: list[str]) -> Table:
    """Return a table with a column of *what* and one for each verdict, closer together on a narrow console."""
    table = Table(box=None, padding=(0, 2) if console.width >= 80 else (0, 2, 0, 0), pad_edge=False)
    table.add_column(what, overflow="fold")
    for verdict in verdicts:
        table.add_column(verdict, justify="right", style=STYLES[verdict], overflow="fold")
    return table


def print_hanging(console: Console, prefix: Text | str, text: Text | str) -> None:
    """Print *prefix* and *text*; the further lines of a long text begin below its first."""
    start, body = Text.assemble(prefix), Text.assemble(text)
    for line in body.wrap(console, max(20, console.width - start.cell_len)) or [body]:
        line.rstrip()
        console.print(Text.assemble(start, line), soft_wrap=True)
        start = Text(" " * start.cell_len)


class Screen:
    """The progress and the result, on a terminal or line by line in a log.

    With a *verbosity* of 0, unexpected verdicts are shown in full and the others counted; 1 shows every clause that
    does not hold, 2 every clause; -1 shows a line for each unexpected verdict, and no progress.
    """

    def __init__(self, console: Console, verbosity: int = 0) -> None:
        self.console = console
        self.verbosity = verbosity
        self._total = self._done = 0
        self._counts: dict[str, int] = {}
        self._progress = new_progress(console)
        self._task = self._progress.add_task("checking", total=0, counts="")

    def begin(self, platform: dict[str, str], total: int) -> None:
        """Show the platform and the number of clauses."""
        self._total = total
        if self.verbosity < 0:
            return
        for name, text in platform.items():
            print_hanging(self.console, Text(f"{name:<13} ", style="bold"), text)
        self.console.print()
        self._progress.update(self._task, total=total)
        if self.console.is_terminal:
            self._progress.start()
        else:
            self.console.print(f"checking {counted(total, 'clause')}")

    def judged(self, _id: str, verdict: Verdict) -> None:
        """Count the verdict of a clause; called once for each."""
        if self.verbosity < 0:
            return
        self._counts[verdict.verdict] = self._counts.get(verdict.verdict, 0) + 1
        self._done += 1
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self._counts.items()))
        if self.console.is_terminal:
            self._progress.update(self._task, completed=self._done, counts=counts, refresh=True)
        elif self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            self.console.print(f"{self._done}/{counted(self._total, 'clause')}: {counts}")

    def end(self, result: SuiteResult, comparison: Comparison) -> None:
        """Show the verdicts and their comparison with the expectations."""
        if self.verbosity >= 0:
            self._progress.stop()
        if self.console.is_terminal and self.verbosity >= 0:  # without a terminal the progress ends with an empty line
            self.console.print()
        unexpected = {found.id for found in comparison.unexpected}
        for verdict in VERDICTS if self.verbosity > 1 else _REPORTED:
            for found in result.results:
                if found.verdict.verdict == verdict and (
                    self.verbosity > 0 or verdict == "broken" or found.id in unexpected
                ):
                    self._show(found, comparison.as_expected.get(found.id))
        for text in result.broken:
            print_hanging(self.console, Text.assemble(("broken    ", STYLES["broken"]), " "), text)
        if self.verbosity >= 0:
            if unexpected or result.broken:
                self.console.print()
            self.console.print(self._table(result))
            for line in differences(comparison):
                print_hanging(self.console, "", line)
        self.console.print(Text(sentence(result, comparison), style="bold"))

    def _show(self, result: ClauseResult, known: Expectation | None) -> None:
        verdict = result.verdict
        start = Text.assemble((f"{verdict.verdict:<9}", STYLES[verdict.verdict]), " ")
        if self.verbosity < 0:
            print_hanging(
                self.console, start, Text.assemble((result.id, "bold"), f"  {verdict.observed or verdict.reason}")
            )
            return
        print_hanging(self.console, start, Text.assemble((result.id, "bold"), f"  {result.page}, {result.section}"))
        print_hanging(self.console, " " * 10, result.statement)
        for name, text in observations(result, known, everything=self.verbosity > 0):
            print_hanging(self.console, " " * 10 + name, text)

    def _table(self, result: SuiteResult) -> Table:
        shown = [verdict for verdict in reversed(VERDICTS) if verdict != "broken" or result.count("broken")]
        table = new_table(self.console, "mechanism", shown)
        for mechanism in sorted({found.mechanism for found in result.results}):
            verdicts = [found.verdict.verdict for found in result.results if found.mechanism == mechanism]
            table.add_row(mechanism, *(str(verdicts.count(verdict) or "") for verdict in shown))
        table.add_row("all", *(str(result.count(verdict)) for verdict in shown), style="bold")
        return table


def observations(result: ClauseResult, known: Expectation | None, *, everything: bool = False) -> list[tuple[str, str]]:
    """Return the lines about a clause beyond its statement: what is said, and the text.

    Of the evidence the position and the last call, or with *everything* all calls.
    """
    verdict = result.verdict
    lines = []
    if verdict.verdict == "deviates":
        if verdict.expected != result.statement:
            lines.append(("expected: ", verdict.expected))
        lines.append(("observed: ", verdict.observed))
        if verdict.evidence:
            lines.append(("seen at:  ", verdict.evidence[0]))
            calls = verdict.evidence[1:]
            if all(map(_CALL.match, calls)):
                lines += [("after:    ", named(call)) for call in (calls if everything else calls[-1:])]
            else:  # a history of several processes, shown whole
                lines += [("", call) for call in calls]
    elif verdict.reason:
        lines.append(("", verdict.reason))
    if known is not None:
        lines.append(("", f"expected of this platform: {known.in_words}"))
    return lines


def differences(comparison: Comparison) -> list[Text]:
    """Return a line for each difference from the expectations: better ones, then worse ones."""
    lines = []
    for id, expectation in comparison.unexpectedly_holding.items():
        text = f" {id} was expected to be {expectation.verdict} ({expectation.reason})"
        if expectation.verdict == "deviates":
            text = f" {id} was expected to deviate ({expectation.reason})"
        lines.append(Text.assemble(("unexpectedly holds", STYLES["holds"]), text))
    lines += [
        Text.assemble(("unexpected", STYLES["deviates"]), f" {found.id} {found.verdict.verdict}")
        for found in comparison.unexpected
        if found.verdict.verdict != "deviates" or comparison.as_expected
    ]
    return lines


def sentence(result: SuiteResult, comparison: Comparison) -> str:
    """Return the result as one sentence."""
    after = f"after {counted(len(result.results), 'clause')}; the others are not judged."
    if result.interrupted:
        return f"Interrupted {after}"
    if result.stopped:
        return f"Stopped at an unexpected deviation {after}"
    if result.exit_status == 3:
        return "The suite itself failed: no verdict on the platform."
    judged, deviations = result.count("holds") + result.count("deviates"), result.count("deviates")
    those = f"{counted(judged, 'clause')} that could be judged"
    if deviations:
        text = f"This platform deviates from the manual in {deviations} of {those}"
        if not comparison.as_expected:
            return f"{text}."
        expected = sum(known.verdict == "deviates" for known in comparison.as_expected.values())
        be = "is" if expected == 1 else "are"
        return f"{text}, {'as expected' if expected == deviations else f'and {expected} of them {be} expected'}."
    if not judged:
        return "No clause could be judged here."
    return f"This platform passes {'the' if judged == 1 else 'all'} {those}."


def slowest(result: SuiteResult, count: int) -> list[str]:
    """Return a line for each of the *count* slowest clauses, or of all with 0, the slowest first."""
    ordered = sorted(result.results, key=lambda found: (-found.duration, found.id))
    return [f"{found.duration:8.3f} s  {found.id}" for found in ordered[: count or None]]
