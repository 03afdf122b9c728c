"""Run the suite with pytest and collect its verdicts, unaffected by the project in the working directory.

No configuration file, no cache, no plugins but those that the suite needs: a verdict on a kernel must not depend on the
folder. pytest's terminal is left out and the listener is told of every clause instead.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
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

# What comes with pytest and has no say in a verdict. A fork takes the longer the more memory there is to share and the more of
# it is written to between one and the next, and the suite forks more often than it has clauses.
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

# A clause takes milliseconds; one that takes this long hangs, and that is its verdict. On a slower platform it may take longer.
CLAUSE_SECONDS = 60.0


class _Listener:
    """A pytest plugin that hears of every report; in a distributed run, those of all workers."""

    def __init__(self, root: Path, wanted: list[ClauseTest], told: Callable[[str, Verdict], None]) -> None:
        self._clauses = {f"{clause.path.relative_to(root)}::{clause.function}": clause.id for clause in wanted}
        self._told = told
        self._left: Counter[str] = Counter()  # by clause, its tests that have not ended
        self._heard: dict[str, list[Verdict]] = {}
        self._facts: dict[str, dict[str, str]] = {}
        self._durations: dict[str, float] = {}
        self.broken: list[str] = []
        self.interrupted = False

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
                self._told(id, worst(self._heard[id]))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)  # which is for a failed collection

    def _hear(self, report: pytest.TestReport) -> None:
        facts = {name: str(value) for name, value in report.user_properties}
        id = facts.get("clause")
        if id is None:
            if report.failed:
                self.broken.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")
            return
        self._durations[id] = self._durations.get(id, 0.0) + report.duration
        if report.when != "call" and report.passed:
            return  # a later phase repeats what the call has entered, for JUnit XML
        verdict = Verdict(
            facts["verdict"],
            facts.get("reason", ""),
            facts.get("expected", ""),
            facts.get("observed", ""),
            tuple(facts.get("evidence", "").splitlines()),
        )
        self._facts[id] = facts
        self._heard.setdefault(id, []).append(verdict)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken.append(f"pytest itself: {str(excrepr).strip().splitlines()[-1]}")

    def results(self) -> list[ClauseResult]:
        """The clauses whose tests have all ended, and those that the others cannot better."""
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
        """The clauses that gave no verdict at all, or not with all their tests."""
        return sorted({*self._clauses.values()} - {found.id for found in self.results()})


def _named(root: Path, wanted: list[ClauseTest]) -> list[str]:
    """How pytest is told what to run. A file is named once if all of it is wanted: pytest looks for each name by itself."""
    of, asked = (Counter(clause.path for clause in some) for some in (clauses(root), wanted))
    return list(dict.fromkeys(str(c.path) if asked[c.path] == of[c.path] else c.nodeid for c in wanted))


def run(
    root: Path,
    wanted: list[ClauseTest],
    told: Callable[[str, Verdict], None],
    *,
    processes: str = "0",
    shuffle: int | None = None,
    thorough: bool = False,
) -> SuiteResult:
    """Run *wanted* and report the verdict on each clause when the last of its tests has ended; *processes* as pytest-xdist's -n.

    SIGINT, SIGTERM and SIGHUP end the run; its result has what was judged until then. *thorough* models have no end that one could wait for, and so no clause has a time limit then.
    """
    listener = _Listener(root, wanted, told)
    sys.executable = bundle_main.python()  # the suite starts programs, and pytest-xdist its workers
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # in the environment, for the workers are to do the same
    os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    arguments = [
        *(f"-p{name}" for name in _PLUGINS),
        *(f"-pno:{name}" for name in _NOT_NEEDED),
        *([] if processes == "0" else ["-pxdist.plugin", "-n", processes]),
        "-c",
        os.devnull,
        f"--rootdir={root}",
        f"--confcutdir={root}",  # what stands in the folders above is no part of the suite
        *(["--ipc-thorough", "--timeout=0"] if thorough else [f"--timeout={CLAUSE_SECONDS * slowness():.1f}"]),
        *([] if shuffle is None else [f"--ipc-shuffle={shuffle}"]),
        *_named(root, wanted),
    ]
    status: int | pytest.ExitCode = pytest.ExitCode.INTERRUPTED
    with interrupted_by_signals() as stop:
        try:
            with temporary_folder() as folder:
                status = pytest.main([f"--basetemp={folder / 'base'}", *arguments], plugins=[listener])
        except KeyboardInterrupt:  # before pytest takes care of it, or after
            listener.interrupted = True
    result = SuiteResult(listener.results(), listener.broken)
    if listener.interrupted:
        result.interrupted = stop.signo
    else:
        result.broken += [f"{id} gave no verdict" for id in listener.silent()]
        if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR) and not result.broken:
            result.broken.append(f"pytest ended with status {int(status)}")
    return result
