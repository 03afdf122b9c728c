"""The progress, the result and the files of a check on several platforms."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...printable import counted
from ..command_error import CommandError, writing
from ..reports import expectations, github, writer
from ..reports.judged import Judged
from ..result import VERDICTS, ClauseResult, SuiteResult, Verdict
from ..runner.remote import Platform
from . import outputs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["PlatformsScreen"]


@dataclass
class PlatformsScreen:
    """The verdicts on all platforms while they run, on a terminal or in a log; their files at the end."""

    console: Console
    progress: Progress
    total: int
    options: argparse.Namespace
    expected: dict[str, dict[str, expectations.Expectation]]
    statuses: list[int] = field(default_factory=list)
    started: dict[str, tuple[datetime, float]] = field(default_factory=dict)
    judgements: list[Judged] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    comparisons: dict[str, expectations.Comparison] = field(default_factory=dict)
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.verbosity: int = self.options.verbose - self.options.quiet

    def show_rows(self, platforms: Sequence[Platform]) -> None:
        """Show a row of progress for each platform, which stays until all have ended."""
        width = max(len(platform.name) for platform in platforms)
        for platform in platforms:
            self.tasks[platform.name] = self.progress.add_task(
                f"{platform.name:<{width}}", total=self.total, counts="waiting"
            )
        self.progress.start()

    def _row(self, platform: Platform, counts: str, **more: Any) -> None:
        if (task := self.tasks.get(platform.name)) is not None:
            self.progress.update(task, counts=counts, refresh=True, **more)

    def began(self, platform: Platform) -> None:
        """Show a platform that has started."""
        self.counts[platform.name] = Counter()
        self.started[platform.name] = datetime.now(UTC), monotonic()
        self._row(platform, "started")
        described = platform.described
        parts = [described.get(name, "") for name in ("kernel", "libc", "architecture", "container")]
        self._say(platform, f"checking {counted(self.total, 'clause')} on {'; '.join(filter(None, parts))}")

    def judged(self, platform: Platform, id: str, verdict: Verdict) -> bool:
        """Count the verdict of a clause; a terminal shows each, a log every tenth of the suite.

        Return whether it ends the run on the platform, as -x requests.
        """
        heard = self.counts[platform.name]
        heard[verdict.verdict] += 1
        done = heard.total()
        counts = ", ".join(f"{count} {name}" for name, count in sorted(heard.items()))
        if self.console.is_terminal:
            self._row(platform, counts, completed=done)
        elif done * 10 // self.total > (done - 1) * 10 // self.total:
            self._say(platform, f"{done}/{counted(self.total, 'clause')}: {counts}")
        expectation = self.expected.get(platform.name, {}).get(id)
        known = expectation is not None and expectation.verdict == "deviates"
        return bool(self.options.exitfirst) and verdict.verdict == "deviates" and not known

    def ended(self, platform: Platform) -> None:
        """Show the end of a platform; write its report at once, independent of the others."""
        started, start = self.started.get(platform.name, (datetime.now(UTC), monotonic()))
        seconds = monotonic() - start
        check = f"pytest-ipc check --platform {shlex.quote(f'{platform.name}={shlex.join(platform.command)}')}"
        if platform.result is None:
            self.statuses.append(2)
            self._row(platform, "cannot be judged")
            self._say(platform, f"cannot be judged: {platform.refusal}", least=-2)
            empty = SuiteResult([]), expectations.Comparison()
            self.judgements.append(Judged(platform.name, {}, *empty, started, seconds, platform.refusal, check))
            return
        comparison = expectations.compare(
            platform.result,
            self.expected.get(platform.name, {}),
            strict=self.options.strict,
            kernel=platform.described.get("kernel", ""),
        )
        self.comparisons[platform.name] = comparison
        self.judgements.append(
            Judged(platform.name, platform.described, platform.result, comparison, started, seconds, check=check)
        )
        status = comparison.exit_status(platform.result, strict_expect=self.options.strict_expect)
        self.statuses.append(status)
        for text in platform.result.broken:
            self._say(platform, f"broken: {text}", least=-2)
        if self.options.report is not None:
            found = writer.as_json(platform.name, platform.described, platform.result, comparison, exit_status=status)
            path = self.options.report / f"{platform.name}.json"
            try:
                with writing("the report", path, status=3):
                    writer.write(path, found)
            except CommandError as error:
                self.statuses.append(error.status)
                self._say(platform, str(error), least=-2)
        is_whole = not (platform.result.broken or platform.result.interrupted or platform.result.stopped)
        self._row(platform, f"judged in {seconds:.1f} s" if is_whole else "ended early")
        self._say(platform, f"judged in {seconds:.1f} s" if is_whole else "the verdicts so far")

    def _say(self, platform: Platform, text: str, *, least: int = 0) -> None:
        """Print a line about the platform, unless the verbosity is below *least*."""
        from rich.text import Text

        from ..reports.terminal import print_hanging

        if self.verbosity >= least:
            print_hanging(self.console, Text.assemble((platform.name, "bold"), "  "), text)

    def end(self, platforms: list[Platform]) -> None:
        """Show the deviations and their platforms, then each platform with its numbers and its verdict."""
        if self.console.is_terminal:
            self.progress.stop()
        from ..reports.terminal import differences, sentence, slowest

        if self.verbosity >= 0:
            self.console.print()
            self._tell_deviations(platforms)
            self._tell_numbers(platforms)
        for platform in platforms:
            if platform.result is not None:
                comparison = self.comparisons[platform.name]
                for line in differences(comparison):
                    self._say(platform, line.plain, least=-1)
                self._say(platform, sentence(platform.result, comparison), least=-2)
                if self.options.durations is not None:
                    for text in slowest(platform.result, self.options.durations):
                        self._say(platform, text, least=-2)
        if github.is_wanted(self.options.annotations):
            for platform in platforms:
                if platform.result is not None:
                    for text in github.github(platform.result, self.comparisons[platform.name], platform.name):
                        self.console.out(text, highlight=False)

    def _tell_deviations(self, platforms: list[Platform]) -> None:
        from rich.text import Text

        from ..reports.terminal import STYLES, observations, print_hanging

        where: dict[str, list[tuple[str, ClauseResult]]] = {}
        for judged in sorted(self.judgements, key=lambda judged: [p.name for p in platforms].index(judged.name)):
            for found in judged.result.results:
                if judged.outcome(found) in ("failed", "broken") or (
                    self.verbosity > 0 and (found.verdict.verdict != "holds" or self.verbosity > 1)
                ):
                    where.setdefault(found.id, []).append((judged.name, found))
        for id, those in sorted(where.items()):
            clause = those[0][1]
            print_hanging(self.console, "", Text.assemble((id, "bold"), f"  {clause.page}, {clause.section}"))
            print_hanging(self.console, "  ", clause.statement)
            for name, found in those:
                verdict = found.verdict.verdict
                self.console.print(Text.assemble(f"  {name}  ", (verdict, STYLES[verdict])))
                known = self.comparisons[name].as_expected.get(id)
                for prefix, text in observations(found, known, everything=self.verbosity > 0):
                    print_hanging(self.console, " " * 6 + prefix, text)
        if where:
            self.console.print()

    def _tell_numbers(self, platforms: list[Platform]) -> None:
        from ..reports.terminal import new_table

        shown = [word for word in reversed(VERDICTS) if word != "broken"]
        table = new_table(self.console, "platform", shown)
        table.add_column("")
        for platform in platforms:
            if platform.result is None:
                table.add_row(
                    platform.name, *("" for _ in shown), "not judged: see above" if platform.refusal else "not judged"
                )
                continue
            lost = "broken: see above" if platform.result.exit_status == 3 else ""
            table.add_row(platform.name, *(str(platform.result.count(word)) for word in shown), lost)
        self.console.print(table)

    def write_files(self) -> None:
        """Write the files of all platforms, and say where they and the reports are. CommandError."""
        from ..reports.next_steps import next_steps

        written = [str(path) for path in outputs.write(self.options, self.judgements)]
        if self.options.report is not None:
            written.insert(0, f"{self.options.report}/NAME.json")
        if self.verbosity < 0:
            return
        if written:
            self.console.print(f"written: {', '.join(written)}", markup=False)
        for judged in self.judgements:
            report = self.options.report / f"{judged.name}.json" if self.options.report is not None else None
            steps = next_steps(
                judged.result, judged.comparison, report, judged.platform, name=judged.name, check=judged.check
            )
            for step in steps[:1]:
                self.console.print(f"next: {judged.name}: {step}", markup=False, soft_wrap=True)
        if self.options.report is not None and len(self.judgements) > 1:
            self.console.print(
                f"next: pytest-ipc compare {self.options.report}/*.json --html matrix.html", markup=False
            )

    @property
    def exit_status(self) -> int:
        """Return the gravest status: interrupted, broken, not judged, deviates."""
        ended = max(self.statuses, default=0)
        return ended if ended > 128 else next((status for status in (3, 2, 1) if status in self.statuses), 0)
