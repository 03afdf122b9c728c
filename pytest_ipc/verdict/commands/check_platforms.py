"""pytest-ipc check --platform NAME=COMMAND: progress on several platforms, and a report for each."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import suite
from ..reports import atomic, expectations, github, writer
from ..result import VERDICTS, ClauseResult, Verdict
from ..runner import build_bundle
from ..runner.remote import Platform, judge
from ..runner.stop import interrupted_by_signals

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..reports.terminal import Log

__all__ = ["check"]


class _UsageError(Exception):
    """What is wrong with the arguments, in a sentence."""


@dataclass
class _Matrix:
    """The verdicts on all platforms, as they come, on a terminal or in a log."""

    console: Log
    progress: Progress
    total: int
    options: argparse.Namespace
    expected: dict[str, dict[str, expectations.Expectation]]
    statuses: list[int] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    reckonings: dict[str, expectations.Reckoning] = field(default_factory=dict)
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def began(self, platform: Platform) -> None:
        """A platform has started."""
        self.counts[platform.name] = Counter()
        self.tasks[platform.name] = self.progress.add_task(platform.name, total=self.total, counts="")
        described = platform.described
        parts = [described.get(name, "") for name in ("kernel", "libc", "architecture", "container")]
        self._say(platform, f"checking {self.total} clauses on {'; '.join(filter(None, parts))}")

    def told(self, platform: Platform, _id: str, verdict: Verdict) -> None:
        """A clause has its verdict; a terminal shows each, a log each tenth of the way."""
        heard = self.counts[platform.name]
        heard[verdict.verdict] += 1
        number = heard.total()
        told = ", ".join(f"{count} {name}" for name, count in sorted(heard.items()))
        if self.console.is_terminal:
            self.progress.update(self.tasks[platform.name], completed=number, counts=told, refresh=True)
        elif number * 10 // self.total > (number - 1) * 10 // self.total:
            self._say(platform, f"{number}/{self.total} clauses: {told}")

    def ended(self, platform: Platform) -> None:
        """A platform has its result, or has none; its report is written at once, whatever becomes of the others."""
        if (task := self.tasks.get(platform.name)) is not None:
            self.progress.remove_task(task)
        if platform.result is None:
            self.statuses.append(2)
            self._say(platform, f"cannot be judged: {platform.refusal}")
            return
        reckoning = expectations.reckon(
            platform.result, self.expected.get(platform.name, {}), strict=self.options.strict
        )
        self.reckonings[platform.name] = reckoning
        status = reckoning.exit_status(platform.result, strict_expect=self.options.strict_expect)
        self.statuses.append(status)
        for text in platform.result.broken:
            self._say(platform, f"broken: {text}")
        if self.options.report is not None:
            found = writer.as_json(platform.name, platform.described, platform.result, reckoning, exit_status=status)
            path = self.options.report / f"{platform.name}.json"
            try:
                writer.write(path, found)
            except OSError as error:
                self.statuses.append(3)
                self._say(platform, f"the report could not be written to {path}: {error.strerror}")
        is_whole = not platform.result.broken and not platform.result.interrupted
        self._say(platform, "judged" if is_whole else "judged as far as it came")

    def _say(self, platform: Platform, text: str) -> None:
        from rich.text import Text

        self.console.print(Text.assemble((platform.name, "bold"), "  ", text))

    def end(self, platforms: list[Platform]) -> None:
        """What deviates, and where; then every platform with its numbers and its verdict."""
        if self.console.is_terminal:
            self.progress.stop()
        self.console.print()
        self._tell_deviations(platforms)
        self._tell_numbers(platforms)
        from ..reports.terminal import differences, sentence

        for platform in platforms:
            if platform.result is not None:
                reckoning = self.reckonings[platform.name]
                for line in differences(reckoning):
                    self._say(platform, line.plain)
                self._say(platform, sentence(platform.result, reckoning))
        if github.is_wanted(self.options.annotations):
            for platform in platforms:
                if platform.result is not None:
                    for text in github.github(platform.result, self.reckonings[platform.name], platform.name):
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
                for line in observations(found, self.reckonings[name].known.get(id)):
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
        """The gravest: interrupted, broken, not judged, deviates."""
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
    """`pytest-ipc check --platform`: the exit status. A platform that says nothing for *patience* seconds is given up."""
    platforms: list[Platform] = options.platforms
    try:
        expected = _prepare(options, platforms, {clause.id for clause in every})
        content = build_bundle.opening()
    except (_UsageError, build_bundle.BundleError, expectations.ExpectationError) as error:
        print(f"pytest-ipc: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pytest-ipc: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
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
            console.print("Interrupted; what has been judged is reported.")
        matrix.end(platforms)
    return 141 if console.reader_left else matrix.exit_status


def _prepare(
    options: argparse.Namespace, platforms: list[Platform], ids: set[str]
) -> dict[str, dict[str, expectations.Expectation]]:
    """Everything that can be wrong before a platform is touched. What is expected, by platform."""
    names = [platform.name for platform in platforms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _UsageError(f"two platforms have the name {twice[0]}")
    if options.name is not None:
        raise _UsageError("--name is for this platform, and those of --platform have names")
    for folder in options.expect:
        if not folder.is_dir():
            raise _UsageError(
                f"--expect with --platform must be a folder with a NAME.toml for each platform, which {folder} is not; "
                "an empty folder expects nothing"
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
    """Make the folder of the reports, or see that it can be written to. _UsageError."""
    try:
        folder.mkdir(exist_ok=True)
        for name in names:
            atomic.check_writable(folder / f"{name}.json")
    except FileExistsError:
        raise _UsageError(f"--report with --platform must be a folder, which {folder} is not") from None
    except OSError as error:
        raise _UsageError(f"the reports cannot be written to the folder {folder}: {error.strerror}") from None
