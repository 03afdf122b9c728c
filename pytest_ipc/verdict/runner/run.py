"""Run the suite with pytest and collect its verdicts, unaffected by the project in the working directory.

No configuration file, no cache, no plugins beyond those of the suite: a verdict on a kernel must not depend on the
directory. pytest's terminal reporter is disabled; each verdict is reported to the caller instead.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import pytest

from ..manual import Source
from ..result import ClauseResult, SuiteResult, Verdict, worst
from ..suite import ClauseTest, clauses
from . import bundle_main
from .speed import slowness
from .stop import interrupted_by_signals
from .tempdir import temporary_folder

__all__ = ["run"]

_PLUGINS = (
    "pytest_ipc.plugin.hooks",
    "pytest_ipc.verdict.runner.suite_plugin",
    "pytest_timeout",
    "_hypothesis_pytestplugin",
)

# Plugins of pytest without an effect on verdicts. The time of a fork grows with the memory to share and the pages
# written since the last one, and the suite forks more often than it has clauses.
_NOT_NEEDED = (
    "cacheprovider",
    "debugging",
    "doctest",
    "junitxml",
    "legacypath",
    "logging",
    "pastebin",
    "setupplan",
    "stepwise",
    "terminal",
    "threadexception",
    "unittest",
    "unraisableexception",
    "warnings",
)

# Seconds. A clause takes milliseconds; one that takes this long hangs, which is its verdict. Slower platforms get more.
CLAUSE_SECONDS = 60.0


class _Listener:
    """A pytest plugin that receives every report; in a distributed run, those of all workers."""

    def __init__(
        self,
        root: Path,
        wanted: list[ClauseTest],
        judged: Callable[[str, Verdict], None],
        stop_unless: Collection[str] | None,
    ) -> None:
        self._clauses = {f"{clause.path.relative_to(root)}::{clause.function}": clause.id for clause in wanted}
        self._judged = judged
        self._stop_unless = stop_unless
        self._left: Counter[str] = Counter()  # by clause, its tests that have not ended
        self._heard: dict[str, list[Verdict]] = {}
        self._facts: dict[str, dict[str, str]] = {}
        self._durations: dict[str, float] = {}
        self.broken: list[str] = []
        self.interrupted = self.stopped = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        if not self._left:  # all workers collect the same
            self._expect(ids)

    def _expect(self, nodeids: Iterable[str]) -> None:
        self._left.update(id for nodeid in nodeids if (id := self._clauses.get(nodeid.partition("[")[0])))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._hear(report)
        id = self._clauses.get(report.nodeid.partition("[")[0])
        if report.when == "teardown" and id is not None:
            self._left[id] -= 1
            if not self._left[id] and id in self._heard:
                verdict = worst(self._heard[id])
                self._judged(id, verdict)
                if self._stop_unless is not None and verdict.verdict == "deviates" and id not in self._stop_unless:
                    self.stopped = True
                    raise pytest.Session.Interrupted(id)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = not isinstance(
            excinfo.value, pytest.Session.Interrupted
        )  # the report of a failed collection

    def _hear(self, report: pytest.TestReport) -> None:
        facts = {name: str(value) for name, value in report.user_properties}
        id = facts.get("clause")
        if id is None:
            if report.failed:
                self.broken.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")
            return
        self._durations[id] = self._durations.get(id, 0.0) + report.duration
        if report.when != "call" and report.passed:
            return  # a later phase repeats the verdict of the call, for JUnit XML
        verdict = Verdict(
            facts["verdict"],
            facts.get("reason", ""),
            facts.get("expected", ""),
            facts.get("observed", ""),
            tuple(facts.get("evidence", "").splitlines()),
            facts.get("need", ""),
            facts.get("trace", ""),
        )
        self._facts[id] = facts
        self._heard.setdefault(id, []).append(verdict)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken.append(f"pytest itself: {str(excrepr).strip().splitlines()[-1]}")

    def results(self) -> list[ClauseResult]:
        """Return the clauses whose tests have all ended, and those whose verdict cannot become better."""
        return [
            ClauseResult(
                id,
                facts["mechanism"],
                facts["page"],
                facts["section"],
                facts["statement"],
                worst(self._heard[id]),
                self._durations[id],
                Source(facts["manual"], facts["level"], facts["since"]),
            )
            for id, facts in sorted(self._facts.items())
            if not self._left[id] or worst(self._heard[id]).verdict in ("broken", "deviates")
        ]

    def silent(self) -> list[str]:
        """Return the clauses without a verdict, or without all their tests."""
        return sorted({*self._clauses.values()} - {found.id for found in self.results()})


def _named(root: Path, wanted: list[ClauseTest]) -> list[str]:
    """Return pytest's arguments for *wanted*: a file if all of it is wanted, because each name takes a look-up."""
    of, asked = (Counter(clause.path for clause in some) for some in (clauses(root), wanted))
    return list(dict.fromkeys(str(c.path) if asked[c.path] == of[c.path] else c.nodeid for c in wanted))


def run(
    root: Path,
    wanted: list[ClauseTest],
    judged: Callable[[str, Verdict], None],
    *,
    processes: str = "0",
    shuffle: int | None = None,
    thorough: bool = False,
    stop_unless: Collection[str] | None = None,
) -> SuiteResult:
    """Run *wanted* and report the verdict on each clause when the last of its tests has ended.

    *processes* is pytest-xdist's -n. SIGINT, SIGTERM and SIGHUP end the run; its result has the clauses judged so far.
    *thorough* models run without an end, so that no clause has a time limit then. The run stops at a clause that
    deviates, unless it is in *stop_unless*; None never stops.
    """
    listener = _Listener(root, wanted, judged, stop_unless)
    sys.executable = bundle_main.python()  # the suite starts programs, and pytest-xdist its workers
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # in the environment, for the workers
    os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    arguments = [
        *(f"-p{name}" for name in _PLUGINS),
        *(f"-pno:{name}" for name in _NOT_NEEDED),
        *([] if processes == "0" else ["-pxdist.plugin", "-n", processes]),
        "-c",
        os.devnull,
        "--ipc-leaks=ignore",  # its calls would be among the evidence
        f"--rootdir={root}",
        f"--confcutdir={root}",  # files in parent directories are not part of the suite
        *(["--ipc-thorough", "--timeout=0"] if thorough else [f"--timeout={CLAUSE_SECONDS * slowness():.1f}"]),
        *([] if shuffle is None else [f"--ipc-shuffle={shuffle}"]),
        *_named(root, wanted),
    ]
    status: int | pytest.ExitCode = pytest.ExitCode.INTERRUPTED
    with interrupted_by_signals() as stop:
        try:
            with temporary_folder() as folder:
                status = pytest.main([f"--basetemp={folder / 'base'}", *arguments], plugins=[listener])
        except KeyboardInterrupt:  # before or after pytest handles it
            listener.interrupted = True
    result = SuiteResult(listener.results(), listener.broken)
    if listener.interrupted:
        result.interrupted = stop.signo
    elif listener.stopped:
        result.stopped = True
    else:
        result.broken += [f"{id} gave no verdict" for id in listener.silent()]
        if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR) and not result.broken:
            result.broken.append(f"pytest ended with status {int(status)}")
    return result
