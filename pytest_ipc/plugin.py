"""The pytest plugin: what every run pays for, so it imports nothing that a run without IPC does not need."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from . import custody
from .guard import ForkGuard
from .unpatched import os
from .watch import CustodyWatch, OrderlyStop

pytest_plugins = ["pytest_ipc.fixtures"]

_HERE = os.path.dirname(os.path.abspath(__file__))

# By the name of the marker: what it takes, and what it is for.
_REQUIREMENTS = {
    "requires_shm": "(size): Skip the test unless so much is free in /dev/shm: a number of bytes, or text like '256M'",
    "requires_limit": "(name, at_least=None, *, at_most=None): Skip the test unless the limit, as in 'kernel.shmmni', is "
    "within these bounds; pytest_ipc.limits() has them all",
    "requires_capability": "(*names): Skip the test unless this process has the capabilities, as in 'CAP_SYS_ADMIN', and "
    "may use them",
    "requires_kernel": "(version): Skip the test on an older kernel than that, as in '5.10'",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ipc", "inter-process communication")
    group.addoption(
        "--ipc-sigterm",
        choices=("default", "interrupt"),
        help="What SIGTERM does: the system's default, or an orderly stop as on Ctrl-C (ini: ipc_sigterm)",
    )
    parser.addini("ipc_sigterm", "As --ipc-sigterm", default="default")
    group.addoption(
        "--ipc-thorough",
        action="store_true",
        help="Let the models of the conformance suite look for differences for hours, with new histories on every run",
    )
    group.addoption(
        "--ipc-isolate",
        action="store_true",
        help="Run the tests in an IPC namespace of their own, each pytest-xdist worker in another (ini: ipc_isolate)",
    )
    parser.addini("ipc_isolate", "As --ipc-isolate", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "clause(id, page, section, errno=None, since=None, disputed=None): The documented sentence that a test asserts; "
        "its outcome becomes the clause's verdict",
    )
    for name, text in _REQUIREMENTS.items():
        config.addinivalue_line("markers", name + text)
    config.pluginmanager.register(ClauseSummary(), "ipc-clause-summary")
    if not sys.platform.startswith("linux"):
        return
    config.pluginmanager.register(ForkGuard(), "ipc-fork-guard")
    watch = CustodyWatch()
    if hasattr(config, "workerinput"):
        custody.controller = os.getppid()
    else:
        config.pluginmanager.register(watch, "ipc-custody-watch")
    if config.getoption("--ipc-isolate") or config.getini("ipc_isolate"):
        from .isolation import isolation

        config.pluginmanager.register(isolation(config, watch), "ipc-isolation")
    sigterm = config.getoption("--ipc-sigterm") or config.getini("ipc_sigterm")
    if sigterm not in ("default", "interrupt"):
        raise pytest.UsageError(f"ipc_sigterm is 'default' or 'interrupt', not {sigterm!r}")
    if sigterm == "interrupt":
        config.pluginmanager.register(OrderlyStop(), "ipc-orderly-stop")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An id is one clause, one test and one sentence; anything else would make reports lie."""
    try:
        _check_clauses(items)
        if demanding := [item for item in items if _demands(item)]:
            from .requirements import validate

            validate(demanding)
    except pytest.UsageError as error:
        if not hasattr(config, "workerinput"):
            raise
        # In a worker of pytest-xdist an exception here ends in an INTERNALERROR that says something else. As the failed
        # report of a collector the sentence reaches the controller, which stops the run.
        report = pytest.CollectReport(nodeid="clauses", outcome="failed", longrepr=str(error), result=[])
        config.hook.pytest_collectreport(report=report)
        items.clear()


def _check_clauses(items: list[pytest.Item]) -> None:
    owners: dict[str, str] = {}
    for item in items:
        mark = item.get_closest_marker("clause")
        if mark is None:
            continue
        test = item.nodeid.partition("[")[0]
        if len(mark.args) != 3 or not mark.kwargs.keys() <= {"errno", "since", "disputed"}:
            raise pytest.UsageError(
                f"{test}: the clause marker needs an id, a manual page and a section, "
                "and takes errno, since and disputed besides"
            )
        if not (getattr(item, "obj", item).__doc__ or "").strip():
            raise pytest.UsageError(
                f"{test}: the clause {mark.args[0]!r} needs a docstring: it is the clause's statement"
            )
        if owners.setdefault(mark.args[0], test) != test:
            raise pytest.UsageError(f"the clause {mark.args[0]!r} stands twice: {owners[mark.args[0]]} and {test}")


def _demands(item: pytest.Item) -> bool:
    return any(mark.name in _REQUIREMENTS for mark in item.iter_markers())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("clause") is not None:
        from .kernel import libc
        from .verdict import words

        libc.forget_calls()  # those of the test before are no evidence
        words.begin()
    if _demands(item):
        from .requirements import lacking

        if (lack := lacking(item)) is not None:
            pytest.skip(lack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.path.dirname(report.longrepr[0]) == _HERE:
        # A skip of ours, by a marker or a fixture: the place that people look at is the test's.
        path, line, _ = item.location
        report.longrepr = (path, (line or 0) + 1, report.longrepr[2])
    mark = item.get_closest_marker("clause")
    if mark is not None:
        from .verdict.outcome import judge

        judge(item, mark, call, report)
    return report


class ClauseSummary:
    """The verdicts of a plain pytest run, told at its end."""

    def __init__(self) -> None:
        self._verdicts: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if "clause" in properties and "verdict" in properties:
            self._verdicts.setdefault(str(properties["clause"]), set()).add(str(properties["verdict"]))

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        """A comparison has failed in a test, or in its child."""
        if words := sys.modules.get("pytest_ipc.verdict.words"):
            words.note(op, left, right)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._verdicts:
            return
        from .verdict.result import VERDICTS

        worst = {id: min(found, key=VERDICTS.index) for id, found in self._verdicts.items()}
        terminalreporter.section("clauses")
        for verdict in reversed(VERDICTS):
            if ids := sorted(id for id, found in worst.items() if found == verdict):
                listed = "" if verdict == "holds" else ": " + ", ".join(ids)
                terminalreporter.line(f"{len(ids):5} {verdict}{listed}")
