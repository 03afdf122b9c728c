"""The entry point of the plugin.

Every pytest run imports it, so it imports and registers only what a run without IPC needs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Generator
from errno import EMFILE, ENFILE, ENOMEM
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from .. import custody
from ..custody.state_paths import has_leftovers
from ..unpatched import os
from .fixtures import OWNERS, register_fixtures
from .fork_guard import ForkGuard

if TYPE_CHECKING:
    from ..audit.leak import Detector
    from .crash_report import CustodyWatch

custody.note_runners()

# The errors of a call that the kernel has: kernel.errnos.EXHAUSTED, which is not imported here.
_EXHAUSTED = {EMFILE, ENFILE, ENOMEM}

_TIMEOUT = 5.0  # kernel.waiting.DEFAULT_TIMEOUT, which is not imported here

# The kinds of audit.detectors, which is not imported here.
_LEAKS = (
    "descriptors, processes, threads, sysv-shm, sysv-sem, sysv-msg, posix-shm, posix-sem, posix-mq, files, "
    "abstract-sockets, mappings, locks, dispositions, signal-mask, timers, alternate-stack, wakeup-fd, umask, "
    "working-directory, rlimits, environment, namespaces, mounts"
)

# By the name of the marker: its arguments and its purpose. Other markers are ignored.
_MARKERS = {
    "ipc_clause": "(id, page, section, errno=None, since=None, disputed=None, level=None): The documented sentence "
    "that a test asserts; the outcome of the test becomes the clause's verdict",
    "ipc_requires_shm": "(size): Skip the test unless *size* is free in /dev/shm: a number of bytes, or text as '256M'",
    "ipc_requires_limit": "(name, at_least=None, *, at_most=None): Skip the test unless the limit, as in "
    "'kernel.shmmni', is within these bounds; pytest_ipc.limits() lists the limits",
    "ipc_requires_capability": "(*names): Skip the test unless this process has the capabilities, as in "
    "'CAP_SYS_ADMIN', and may use them",
    "ipc_leaks": "(action, *, KIND=ACTION or number): What happens with leaks of the test: 'ignore', 'warn', "
    "'error' or 'fix', or how many of a kind are allowed, as in ipc_leaks('error', threads='ignore', descriptors=2)",
    "ipc_requires_kernel": "(version): Skip the test on kernels older than *version*, as in '5.10'",
}


class _HookSpecs:
    @pytest.hookspec
    def pytest_ipc_leak_detectors(self) -> list[Detector]:  # type: ignore[empty-body]  # a hook specification has none
        """Return further leak detectors, which are asked for leaks after those of this plugin."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(_HookSpecs)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
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
        help="Run the models of the conformance suite for hours, with new histories in every run",
    )
    group.addoption(
        "--ipc-isolate",
        action="store_true",
        help="Run the tests in an IPC namespace of their own, each pytest-xdist worker in another (ini: ipc_isolate)",
    )
    parser.addini("ipc_isolate", "As --ipc-isolate", type="bool", default=False)
    group.addoption(
        "--ipc-leaks",
        metavar="POLICY",
        help="What happens with what a test leaks: ignore, warn, error or fix; for single kinds KIND=ACTION "
        "(ini: ipc_leaks; default: warn for tests that use a fixture of this plugin, else ignore). The kinds: "
        f"{_LEAKS}",
    )
    parser.addini("ipc_leaks", "As --ipc-leaks", default="")
    parser.addini(
        "ipc_short_names",
        "Define the fixtures with short names (fifo, fork, …); if false, only `ipc` and names that begin with `ipc_`",
        type="bool",
        default=True,
    )
    parser.addini(
        "ipc_timeout",
        "Default timeout in seconds of calls that wait; timeout=None waits for ever",
        default=str(_TIMEOUT),
    )
    if sys.platform.startswith("linux"):
        # Now, before a conftest.py is imported.
        pluginmanager.register(ForkGuard(pluginmanager), "ipc-fork-guard")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if sys.platform.startswith("linux") and (
        early_config.known_args_namespace.ipc_isolate or early_config.getini("ipc_isolate")
    ):
        from .isolation import isolate_early

        found = isolate_early(early_config, lambda: _watch(early_config).sweep())
        if found is not None:
            early_config.pluginmanager.register(found, "ipc-isolation")


def pytest_configure(config: pytest.Config) -> None:
    for name, text in _MARKERS.items():
        config.addinivalue_line("markers", name + text)
    if config.getoption("dist", "no") != "no":
        # The controller of workers collects nothing: only the reports of its workers show whether there are clauses.
        config.pluginmanager.register(ClauseSummary(), "ipc-clause-summary")
        if sys.platform.startswith("linux"):
            from .leak_check import LeakSummary

            config.pluginmanager.register(LeakSummary(), "ipc-leak-summary")
    if not sys.platform.startswith("linux"):
        return
    if hasattr(config, "workerinput"):
        custody.controller = os.getppid()
    if (seconds := _timeout(config)) != _TIMEOUT:
        from ..resource import default_timeout, set_default_timeout

        config.add_cleanup(partial(set_default_timeout, default_timeout()))
        set_default_timeout(seconds)
    isolated = config.getoption("--ipc-isolate") or config.getini("ipc_isolate")
    if isolated and not config.pluginmanager.has_plugin("ipc-isolation"):
        from .isolation import isolation

        config.pluginmanager.register(isolation(config, lambda: _watch(config).sweep()), "ipc-isolation")
    sigterm = config.getoption("--ipc-sigterm") or config.getini("ipc_sigterm")
    if sigterm not in ("default", "interrupt"):
        raise pytest.UsageError(f"ipc_sigterm must be 'default' or 'interrupt', not {sigterm!r}")
    if sigterm == "interrupt":
        from .crash_report import OrderlyStop

        config.pluginmanager.register(OrderlyStop(), "ipc-orderly-stop")


def _timeout(config: pytest.Config) -> float:
    text = str(config.getini("ipc_timeout"))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise pytest.UsageError(
            f"ipc_timeout must be a positive number of seconds, not {text}; use timeout=None in a call to wait for ever"
        )
    return seconds


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    # Before pytest parses the fixtures of plugins, and when all plugins are registered.
    register_fixtures(session.config)
    if sys.platform.startswith("linux") and not hasattr(session.config, "workerinput") and has_leftovers():
        _watch(session.config).sweep()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Sweep the ledgers of a worker that died at once, so that its crash report can name its leftovers."""
    if error and sys.platform.startswith("linux"):
        _watch(node.config).worker_died(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ledger = sys.modules.get("pytest_ipc.custody.ledger")
    if ledger is not None and ledger.is_open():  # a test of this process has used a fixture
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (OSError, AttributeError) as error:
            if getattr(error, "errno", None) in _EXHAUSTED:
                return
            reason = getattr(error, "strerror", error)
            terminalreporter.line(f"ipc: pidfd_open(2) is not available ({reason}): the reaper polls 20 times a second")


def _watch(config: pytest.Config) -> CustodyWatch:
    from .crash_report import CustodyWatch

    found: CustodyWatch | None = config.pluginmanager.get_plugin("ipc-custody-watch")
    if found is None:
        found = CustodyWatch()
        config.pluginmanager.register(found, "ipc-custody-watch")
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Check our markers and register the hooks that implement them; other plugins may change markers in between."""
    if before := _marked(items):
        from .markers import check

        try:
            check(before)
        except pytest.UsageError as error:
            _refuse(config, items, error)
    if config.pluginmanager.has_plugin("run-parallel"):
        _keep_out_of_threads(items)
    result = yield
    found = _marked(items)
    if found:
        _serve(config, found)
    if sys.platform.startswith("linux"):
        try:
            _check_leaks(config, items, found)
        except pytest.UsageError as error:
            _refuse(config, items, error)
    return result


def _keep_out_of_threads(items: list[pytest.Item]) -> None:
    """Have pytest-run-parallel run the tests that use our fixtures in one thread; its summary shows the reason."""
    reason = (
        "pytest-ipc's fixtures own the processes, signals and objects of one test: in several threads at once, "
        "neither their end nor a leak could be attributed"
    )
    for item in items:
        if not OWNERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.thread_unsafe(reason=reason))


def _refuse(config: pytest.Config, items: list[pytest.Item], error: pytest.UsageError) -> None:
    """End the run with the message of *error*."""
    if not hasattr(config, "workerinput"):
        raise error
    # In a pytest-xdist worker an exception here ends in an unrelated INTERNALERROR. The failed report of a collector
    # brings the message to the controller, which stops the run.
    report = pytest.CollectReport(nodeid="ipc markers", outcome="failed", longrepr=str(error), result=[])
    config.hook.pytest_collectreport(report=report)
    items.clear()


def _check_leaks(config: pytest.Config, items: list[pytest.Item], marked: list[pytest.Item]) -> None:
    """Register the leak check if a policy is configured, for all tests or one, or if a test uses our fixtures."""
    policy = str(config.getoption("--ipc-leaks") or config.getini("ipc_leaks") or "").strip()
    if policy == "ignore" or not policy:
        by_mark = any(item.get_closest_marker("ipc_leaks") is not None for item in marked)
        used = not policy and any(not OWNERS.isdisjoint(getattr(item, "fixturenames", ())) for item in items)
        if not by_mark and not used:
            return
    from .leak_check import LeakCheck, LeakSummary

    manager = config.pluginmanager
    if not manager.has_plugin("ipc-leak-check"):
        found = LeakCheck(config, policy)
        found.check_markers(marked)
        manager.register(found, "ipc-leak-check")
    if not hasattr(config, "workerinput") and not manager.has_plugin("ipc-leak-summary"):
        manager.register(LeakSummary(), "ipc-leak-summary")


def _serve(config: pytest.Config, found: list[pytest.Item]) -> None:
    from . import markers
    from .skips import report_skips_at_tests

    plugins: dict[str, type[Any]] = {"ipc-requirements": markers.Requirements}
    if any(item.get_closest_marker("ipc_clause") is not None for item in found):
        plugins["ipc-clauses"] = markers.Clauses
        if not hasattr(config, "workerinput"):
            plugins["ipc-clause-summary"] = ClauseSummary
    for name, plugin in plugins.items():
        if not config.pluginmanager.has_plugin(name):
            config.pluginmanager.register(plugin(), name)
    report_skips_at_tests(config)


def _marked(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the items with one of our markers. This runs for every test of every run, so parents are checked once."""
    found = []
    last: object = None
    inherited = False
    for item in items:
        if item.parent is not last:
            last = item.parent
            inherited = any(mark.name in _MARKERS for node in item.listchain()[:-1] for mark in node.own_markers)
        if inherited:
            found.append(item)
        elif item.own_markers:
            for mark in item.own_markers:
                if mark.name in _MARKERS:
                    found.append(item)
                    break
    return found


class ClauseSummary:
    """List the verdicts at the end of a plain pytest run."""

    def __init__(self) -> None:
        self._verdicts: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.user_properties:
            properties = dict(report.user_properties)
            if "clause" in properties and "verdict" in properties:
                self._verdicts.setdefault(str(properties["clause"]), set()).add(str(properties["verdict"]))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._verdicts:
            return
        from ..verdict.result import VERDICTS

        worst = {id: min(found, key=VERDICTS.index) for id, found in self._verdicts.items()}
        terminalreporter.section("clauses")
        for verdict in reversed(VERDICTS):
            if ids := sorted(id for id, found in worst.items() if found == verdict):
                listed = "" if verdict == "holds" else ": " + ", ".join(ids)
                terminalreporter.line(f"{len(ids):5} {verdict}{listed}")
