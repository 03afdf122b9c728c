"""pytest-ipc check --platform NAME=COMMAND: what the screen tells while it runs, and a report for each platform."""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import bundling, expectations, output, report, suite
from .elsewhere import Platform, judge
from .result import VERDICTS, Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["check"]


class _UsageError(Exception):
    """What is wrong with the arguments, in a sentence."""


@dataclass
class _Matrix:
    """The verdicts on all platforms, as they come, on a terminal or in a log."""

    console: Console
    total: int
    options: argparse.Namespace
    expected: dict[str, dict[str, expectations.Expectation]]
    statuses: list[int] = field(default_factory=list)
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)

    def began(self, platform: Platform) -> None:
        """A platform has started."""
        self.verdicts[platform.name] = {}
        described = platform.described
        parts = [described.get(name, "") for name in ("kernel", "libc", "architecture", "container")]
        self._say(platform, f"checking {self.total} clauses on {'; '.join(filter(None, parts))}")

    def told(self, platform: Platform, id: str, verdict: Verdict) -> None:
        """A clause has its verdict; each tenth of the way is told."""
        heard = self.verdicts[platform.name]
        if id in heard:
            return
        heard[id] = verdict.verdict
        if len(heard) * 10 // self.total > (len(heard) - 1) * 10 // self.total:
            told = ", ".join(f"{count} {name}" for name, count in sorted(Counter(heard.values()).items()))
            self._say(platform, f"{len(heard)}/{self.total} clauses: {told}")

    def ended(self, platform: Platform) -> None:
        """A platform has its result, or has none; its report is written at once, whatever becomes of the others."""
        if platform.result is None:
            self.statuses.append(2)
            self._say(platform, f"cannot be judged: {platform.refusal}")
            return
        reckoning = expectations.reckon(
            platform.result, self.expected.get(platform.name, {}), strict=self.options.strict
        )
        status = reckoning.exit_status(platform.result, strict_expect=self.options.strict_expect)
        self.statuses.append(status)
        for text in platform.result.broken:
            self._say(platform, f"broken: {text}")
        if self.options.report is not None:
            found = report.as_json(platform.name, platform.described, platform.result, reckoning, exit_status=status)
            path = self.options.report / f"{platform.name}.json"
            try:
                report.write(path, found)
            except OSError as error:
                self.statuses.append(3)
                self._say(platform, f"the report could not be written to {path}: {error.strerror}")
        self._say(platform, "judged" if not platform.result.broken else "judged as far as it came")

    def _say(self, platform: Platform, text: str) -> None:
        from rich.text import Text

        self.console.print(Text.assemble((platform.name, "bold"), "  ", text))

    def end(self, platforms: list[Platform]) -> None:
        """What deviates, and where; then every platform with its numbers."""
        from rich.table import Table
        from rich.text import Text

        from .screen import STYLES

        self.console.print()
        where: dict[str, list[tuple[str, Verdict]]] = {}
        for platform in platforms:
            for found in platform.result.results if platform.result else ():
                if found.verdict.verdict in ("deviates", "broken"):
                    where.setdefault(found.id, []).append((platform.name, found.verdict))
        for id, verdicts in sorted(where.items()):
            self.console.print(Text.assemble((id, "bold")))
            for name, verdict in verdicts:
                known = self.expected.get(name, {}).get(id)
                reason = f" (expected: {known.reason})" if known and known.verdict == verdict.verdict else ""
                styled = (verdict.verdict, STYLES[verdict.verdict])
                self.console.print(Text.assemble(f"  {name}  ", styled, f"  {verdict.reason}{reason}"))
        shown = [word for word in reversed(VERDICTS) if word != "broken"]
        table = Table(box=None, padding=(0, 2), pad_edge=False)
        table.add_column("platform")
        for word in shown:
            table.add_column(word, justify="right", style=STYLES[word])
        table.add_column("")
        for platform in platforms:
            if platform.result is None:
                table.add_row(platform.name, *("" for _ in shown), "not judged: see above")
                continue
            lost = "broken: see above" if platform.result.exit_status == 3 else ""
            table.add_row(platform.name, *(str(platform.result.count(word)) for word in shown), lost)
        self.console.print(table)

    @property
    def exit_status(self) -> int:
        """The gravest: interrupted, broken, not judged, deviates."""
        return next((status for status in (130, 3, 2, 1) if status in self.statuses), 0)


def check(
    options: argparse.Namespace,
    every: Sequence[suite.ClauseTest],
    wanted: Sequence[suite.ClauseTest],
    seed: int | None,
    patience: float | None,
) -> int:
    """`pytest-ipc check --platform`: the exit status. A platform that says nothing for *patience* seconds is given up."""
    platforms: list[Platform] = options.platforms
    try:
        expected = _prepare(options, platforms, {clause.id for clause in every})
        content = bundling.opening()
    except (_UsageError, bundling.BundleError, expectations.ExpectationError) as error:
        print(f"pytest-ipc: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pytest-ipc: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    matrix = _Matrix(console, len(wanted), options, expected)
    if seed is not None:
        console.print(f"in the random order of --shuffle {seed}")
    request: dict[str, Any] = {
        "names": options.names,
        "processes": options.processes,
        "shuffle": seed,
        "thorough": options.thorough,
    }
    before = signal.signal(signal.SIGTERM, _interrupted)
    try:
        judge(platforms, list(wanted), content, request, matrix, patience=patience, at_once=options.at_once)
    except KeyboardInterrupt:
        console.print("Interrupted; platforms without a result are not judged.")
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    matrix.end(platforms)
    return matrix.exit_status


def _interrupted(_signo: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # the platforms are ended on the way out


def _prepare(
    options: argparse.Namespace, platforms: list[Platform], ids: set[str]
) -> dict[str, dict[str, expectations.Expectation]]:
    """Everything that can be wrong before a platform is touched. What is expected, by platform."""
    names = [platform.name for platform in platforms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _UsageError(f"two platforms have the name {twice[0]}")
    if options.name is not None:
        raise _UsageError("--name is for this platform, and those of --platform have names")
    if options.report is not None:
        try:
            options.report.mkdir(exist_ok=True)
            for name in names:
                output.check_writable(options.report / f"{name}.json")
        except OSError as error:
            raise _UsageError(
                f"the reports cannot be written to the folder {options.report}: {error.strerror}"
            ) from None
    if options.expect is None:
        return {}
    folder: Path = options.expect
    if not folder.is_dir():
        raise _UsageError(f"--expect with --platform is a folder with a NAME.toml for each platform: {folder} is none")
    files = {name: folder / f"{name}.toml" for name in names}
    return {name: expectations.read(path, ids) for name, path in files.items() if path.exists()}
