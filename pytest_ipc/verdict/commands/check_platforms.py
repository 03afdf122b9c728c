"""pytest-ipc check --platform NAME=COMMAND: progress on several platforms, and a report for each."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import suite
from ..command_error import CommandError, writing
from ..reports import atomic, expectations, github, writer
from ..result import VERDICTS, ClauseResult, Verdict
from ..runner import build_bundle
from ..runner.remote import Platform, judge
from ..runner.stop import interrupted_by_signals

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..reports.terminal import Log

__all__ = ["check"]


@dataclass
class _Matrix:
    """The verdicts on all platforms while they run, on a terminal or in a log."""

    console: Log
    progress: Progress
    total: int
    options: argparse.Namespace
    expected: dict[str, dict[str, expectations.Expectation]]
    statuses: list[int] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    comparisons: dict[str, expectations.Comparison] = field(default_factory=dict)
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def began(self, platform: Platform) -> None:
        """Show a platform that has started."""
        self.counts[platform.name] = Counter()
        self.tasks[platform.name] = self.progress.add_task(platform.name, total=self.total, counts="")
        described = platform.described
        parts = [described.get(name, "") for name in ("kernel", "libc", "architecture", "container")]
        self._say(platform, f"checking {self.total} clauses on {'; '.join(filter(None, parts))}")

    def judged(self, platform: Platform, _id: str, verdict: Verdict) -> None:
        """Count the verdict of a clause; a terminal shows each, a log every tenth of the suite."""
        heard = self.counts[platform.name]
        heard[verdict.verdict] += 1
        number = heard.total()
        counts = ", ".join(f"{count} {name}" for name, count in sorted(heard.items()))
        if self.console.is_terminal:
            self.progress.update(self.tasks[platform.name], completed=number, counts=counts, refresh=True)
        elif number * 10 // self.total > (number - 1) * 10 // self.total:
            self._say(platform, f"{number}/{self.total} clauses: {counts}")

    def ended(self, platform: Platform) -> None:
        """Show the end of a platform; write its report at once, independent of the others."""
        if (task := self.tasks.get(platform.name)) is not None:
            self.progress.remove_task(task)
        if platform.result is None:
            self.statuses.append(2)
            self._say(platform, f"cannot be judged: {platform.refusal}")
            return
        comparison = expectations.compare(
            platform.result, self.expected.get(platform.name, {}), strict=self.options.strict
        )
        self.comparisons[platform.name] = comparison
        status = comparison.exit_status(platform.result, strict_expect=self.options.strict_expect)
        self.statuses.append(status)
        for text in platform.result.broken:
            self._say(platform, f"broken: {text}")
        if self.options.report is not None:
            found = writer.as_json(platform.name, platform.described, platform.result, comparison, exit_status=status)
            path = self.options.report / f"{platform.name}.json"
            try:
                with writing("the report", path, status=3):
                    writer.write(path, found)
            except CommandError as error:
                self.statuses.append(error.status)
                self._say(platform, str(error))
        is_whole = not platform.result.broken and not platform.result.interrupted
        self._say(platform, "judged" if is_whole else "the verdicts so far")

    def _say(self, platform: Platform, text: str) -> None:
        from rich.text import Text

        self.console.print(Text.assemble((platform.name, "bold"), "  ", text))

    def end(self, platforms: list[Platform]) -> None:
        """Show the deviations and their platforms, then each platform with its numbers and its verdict."""
        if self.console.is_terminal:
            self.progress.stop()
        self.console.print()
        self._tell_deviations(platforms)
        self._tell_numbers(platforms)
        from ..reports.terminal import differences, sentence

        for platform in platforms:
            if platform.result is not None:
                comparison = self.comparisons[platform.name]
                for line in differences(comparison):
                    self._say(platform, line.plain)
                self._say(platform, sentence(platform.result, comparison))
        if github.is_wanted(self.options.annotations):
            for platform in platforms:
                if platform.result is not None:
                    for text in github.github(platform.result, self.comparisons[platform.name], platform.name):
                        self.console.out(text, highlight=False)

    def _tell_deviations(self, platforms: list[Platform]) -> None:
        from rich.text import Text

        from ..reports.terminal import STYLES, observations

        where: dict[str, list[tuple[str, ClauseResult]]] = {}
        for platform in platforms:
            for found in platform.result.results if platform.result else ():
                if found.verdict.verdict in ("deviates", "broken"):
                    where.setdefault(found.id, []).append((platform.name, found))
        for id, those in sorted(where.items()):
            clause = those[0][1]
            self.console.print(Text.assemble((id, "bold"), f"  {clause.page}, {clause.section}"))
            self.console.print(Text(f"  {clause.statement}"))
            for name, found in those:
                verdict = found.verdict.verdict
                self.console.print(Text.assemble(f"  {name}  ", (verdict, STYLES[verdict])))
                for line in observations(found, self.comparisons[name].as_expected.get(id)):
                    self.console.print(Text(f"      {line}"))

    def _tell_numbers(self, platforms: list[Platform]) -> None:
        from rich.table import Table

        from ..reports.terminal import STYLES

        shown = [word for word in reversed(VERDICTS) if word != "broken"]
        table = Table(box=None, padding=(0, 2), pad_edge=False)
        table.add_column("platform")
        for word in shown:
            table.add_column(word, justify="right", style=STYLES[word])
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

    @property
    def exit_status(self) -> int:
        """Return the gravest status: interrupted, broken, not judged, deviates."""
        ended = max(self.statuses, default=0)
        return ended if ended > 128 else next((status for status in (3, 2, 1) if status in self.statuses), 0)


def check(
    options: argparse.Namespace,
    every: Sequence[suite.ClauseTest],
    wanted: Sequence[suite.ClauseTest],
    seed: int | None,
    patience: float | None,
    *,
    longer_if_slow: bool,
) -> int:
    """Run `pytest-ipc check --platform` and return the exit status.

    A platform that is silent for *patience* seconds is given up.
    """
    platforms: list[Platform] = options.platforms
    try:
        expected = _prepare(options, platforms, {clause.id for clause in every})
        content = build_bundle.opening()
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    from ..reports.terminal import new_console, new_progress

    console = new_console()
    progress = new_progress(console)
    matrix = _Matrix(console, progress, len(wanted), options, expected)
    if seed is not None:
        console.print(f"in the random order of --shuffle {seed}")
    if console.is_terminal:
        progress.start()
    request: dict[str, Any] = {
        "names": options.names,
        "processes": options.processes,
        "shuffle": seed,
        "thorough": options.thorough,
    }
    with interrupted_by_signals() as stop:
        try:
            judge(
                platforms,
                list(wanted),
                content,
                request,
                matrix,
                patience=patience,
                longer_if_slow=longer_if_slow,
                at_once=options.at_once,
            )
        except KeyboardInterrupt:
            matrix.statuses.append(128 + stop.signo)
            console.print("Interrupted; the verdicts so far are reported.")
        matrix.end(platforms)
    return 141 if console.reader_left else matrix.exit_status


def _prepare(
    options: argparse.Namespace, platforms: list[Platform], ids: set[str]
) -> dict[str, dict[str, expectations.Expectation]]:
    """Check all arguments before a platform is started, and return the expectations by platform. CommandError."""
    names = [platform.name for platform in platforms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CommandError(f"two platforms have the name {twice[0]}")
    if options.name is not None:
        raise CommandError("--name cannot be used with --platform, which names each platform")
    for folder in options.expect:
        if not folder.is_dir():
            raise CommandError(
                f"--expect with --platform must be a directory with a NAME.toml for each platform, not {folder}; "
                "an empty directory expects no deviation"
            )
    expected = {
        name: expectations.read_all(
            [path for folder in options.expect if (path := folder / f"{name}.toml").exists()], ids
        )
        for name in names
    }
    if options.report is not None:
        _prepare_folder(options.report, names)
    return expected


def _prepare_folder(folder: Path, names: list[str]) -> None:
    """Create the directory of the reports, or check that it is writable. CommandError."""
    try:
        folder.mkdir(exist_ok=True)
        for name in names:
            atomic.check_writable(folder / f"{name}.json")
    except FileExistsError:
        raise CommandError(f"--report with --platform must be a directory, not {folder}") from None
    except OSError as error:
        raise CommandError(f"the reports cannot be written to the directory {folder}: {error.strerror}") from error
