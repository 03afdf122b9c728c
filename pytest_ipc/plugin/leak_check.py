"""The leak check: what a test has left when it and its fixtures are over, reported as `ipc_leaks` says.

The plugin registers it only where a policy is configured or a collected test uses one of our fixtures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from ..audit.detectors import KINDS, detectors
from ..audit.guess import GUESS
from ..audit.leak import Detector, Leak
from ..audit.leak_audit import Audit, Charges, Findings
from ..printable import plain
from ..unpatched import os
from .between_tests import NothingBetween
from .fixtures import OWNERS
from .leak_policy import Policy, of_marker, of_text

__all__ = ["LeakCheck", "LeakSummary"]

PROPERTY = "ipc_leak"
ABSENT = "ipc_leaks_absent"
_SHOWN = 5  # leaks of a kind in the summary
_GUESSES = 2  # of a kind there, and in the report of a test


@dataclass(eq=False)
class _WiderScope:
    """What has appeared while a fixture of a wider scope was set up."""

    fixture: pytest.FixtureDef[Any]
    name: str
    charges: Charges
    finalized: bool = False


class LeakCheck:
    """The plugin object of a process that runs tests."""

    def __init__(self, config: pytest.Config, policy: str) -> None:
        self._pid = os.getpid()
        self._is_worker = hasattr(config, "workerinput")
        own = detectors()
        others: list[list[Detector]] = config.hook.pytest_ipc_leak_detectors()
        self._detectors = own + [detector for found in others for detector in found]
        for detector in self._detectors:
            if not detector.kind:
                raise pytest.UsageError(f"pytest_ipc_leak_detectors: {type(detector).__name__} has no kind")
        # Whether leaks of the kind can be fixed.
        self._kinds = {detector.kind: type(detector).restore is not Detector.restore for detector in self._detectors}
        self._policy = of_text(policy, self._kinds, "ipc_leaks")
        self._by_default = {
            action: self._policy.refined(Policy(action, self._policy.kinds)) for action in ("warn", "ignore")
        }
        self._last: tuple[Policy, frozenset[str], frozenset[str]] | None = None
        self._alone = NothingBetween(config)
        isolation: Any = config.pluginmanager.get_plugin("ipc-isolation")
        self._audit = Audit(self._detectors, isolated=getattr(isolation, "isolated", frozenset()))
        self._active: Policy | None = None
        self._wider: list[_WiderScope] = []
        self._failed = False  # the test: its traceback keeps objects alive
        self._said = set[str]()

    @property
    def absent(self) -> list[str]:
        """The kinds of leaks that this platform does not show, with the reasons."""
        return [plain(f"{kind}: {why}") for kind, why in self._audit.absent.items()]

    def check_markers(self, items: Iterable[pytest.Item]) -> None:
        """Check the markers of these tests. UsageError."""
        for item in items:
            self._policy_of(item)

    def _watched(self, policy: Policy) -> tuple[frozenset[str], frozenset[str]]:
        """Return the kinds that *policy* does not ignore, and those that it fixes."""
        if self._last is None or self._last[0] is not policy:
            kinds = frozenset(kind for kind in self._kinds if policy.of(kind) != "ignore")
            self._last = policy, kinds, frozenset(kind for kind in kinds if policy.of(kind) == "fix")
        return self._last[1:]

    def _policy_of(self, item: pytest.Item) -> Policy:
        found = self._policy
        if not found.action:
            uses_ours = not OWNERS.isdisjoint(getattr(item, "fixturenames", ()))
            found = self._by_default["warn" if uses_ours else "ignore"]
        marks: list[pytest.Mark] = []
        node: Any = item
        while node is not None:  # as iter_markers() does, in a fifth of its time
            if node.own_markers:
                marks += [mark for mark in node.own_markers if mark.name == "ipc_leaks"]
            node = node.parent
        for mark in reversed(marks):
            found = found.refined(of_marker(mark, self._kinds, item.nodeid))
        return found

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self._active, self._failed = None, False
        policy = self._policy_of(item)
        if kinds := self._watched(policy)[0]:
            self._active = policy
            self._audit.begin(kinds, follows=self._alone.is_true())
        else:
            self._audit.forget()
        try:
            return (yield)
        except BaseException:
            self._failed = True
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except BaseException:
            self._failed = True
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        # Also in a test that is not audited itself, as the scope may end with one that is.
        before = self._audit.now()
        try:
            return (yield)
        finally:
            charges = self._audit.charge_scope(before)
            if any(charges.values()):
                name = f"{fixturedef.argname} of {request.node.nodeid or 'the session'}"
                self._wider.append(_WiderScope(fixturedef, name, charges))

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        # It is called too when another parameter has been set up already.
        for entry in self._wider:
            entry.finalized |= entry.fixture is fixturedef

    def _ended_scopes(self) -> list[_WiderScope]:
        """Return the entries of fixtures that have been torn down, and forget them."""
        if not self._wider:
            return []
        newest = {id(entry.fixture): entry for entry in self._wider}
        ended = [
            entry
            for entry in self._wider
            if newest[id(entry.fixture)] is not entry or (entry.finalized and entry.fixture.cached_result is None)
        ]
        self._wider = [entry for entry in self._wider if entry not in ended]
        return ended

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            result = yield
        except BaseException:
            self._finish(item)  # its failure is the report's; the leaks are a section of it
            raise
        if failure := self._finish(item):
            pytest.fail(failure, pytrace=False)
        return result

    def _without_present(self, charges: Charges) -> Charges:
        """Return *charges* without what fixtures in use have made since, as the next parameter of the same fixture."""
        present = {(kind, key) for entry in self._wider for kind, keys in entry.charges.items() for key in keys}
        return {
            kind: {key: value for key, value in keys.items() if (kind, key) not in present}
            for kind, keys in charges.items()
        }

    def _finish(self, item: pytest.Item) -> str:
        """Report the leaks of the test, and of the wider scopes that ended with it; return why it must fail, or ""."""
        policy, self._active = self._active, None
        ended = self._ended_scopes()
        if policy is None or os.getpid() != self._pid:
            return ""
        kinds, fix = self._watched(policy)
        lines: list[str] = []
        errors: list[str] = []
        findings = self._audit.end(kinds, fix, [entry.charges for entry in ended])
        if not findings.leaks and not ended and not self._failed:
            return ""
        for leak in _beyond(findings, policy):
            if self._failed and leak.is_held:
                continue  # its traceback keeps the objects of its frames
            if self._is_worker and not leak.is_proved:
                continue  # as likely of another worker
            self._note(item, leak, leak in findings.restored, lines)
            if policy.of(leak.kind) == "error" and leak.is_proved:
                errors.append(str(leak))
        for entry in ended:
            findings = self._audit.end_of_scope(self._without_present(entry.charges), kinds, fix)
            for leak in findings.leaks:
                self._note(item, leak, leak in findings.restored, lines, f"fixture {entry.name}")
                if policy.of(leak.kind) == "error" and leak.is_proved:
                    errors.append(f"{leak} (fixture {entry.name})")
        if self._failed or errors:  # else nobody reads it
            unseen = [text for text in findings.blind if text not in self._said]
            self._said.update(unseen)  # once is enough
            lines += [f"could not look at {plain(text)}" for text in unseen]
        if lines:
            item.add_report_section("teardown", "ipc leaks", "\n".join(_without_many_guesses(lines)))
        if not errors:
            return ""
        # pytest's short summary shows the first line only.
        first = "the test leaks " if len(errors) == 1 else f"the test leaks {len(errors)} objects: "
        return "\n".join([first + errors[0], *errors[1:]])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[ABSENT] = self.absent

    @staticmethod
    def _note(item: pytest.Item, leak: Leak, restored: bool, lines: list[str], of: str = "") -> None:
        line = plain(f"{leak}{f' ({of})' if of else ''}{'; this has been done' if restored else ''}")
        lines.append(line)
        item.user_properties.append((PROPERTY, line))


def _without_many_guesses(lines: list[str]) -> list[str]:
    """Return *lines* with the first guesses of each kind and the number of the others."""
    shown: list[str] = []
    guesses = Counter[str]()
    for line in lines:
        kind = line.partition(": ")[0]
        guesses[kind] += GUESS in line
        if GUESS not in line or guesses[kind] <= _GUESSES:
            shown.append(line)
    more = [f"{kind}: {number - _GUESSES} more, perhaps" for kind, number in guesses.items() if number > _GUESSES]
    return [*shown, *more]


def _beyond(findings: Findings, policy: Policy) -> Iterable[Leak]:
    """Yield the leaks beyond the numbers that are allowed for their kinds."""
    for kind in dict.fromkeys(leak.kind for leak in findings.leaks):
        found = [leak for leak in findings.leaks if leak.kind == kind]
        if len(found) > policy.allowed.get(kind, 0):
            yield from found


class LeakSummary:
    """List the leaks at the end of the run, by kind; also in the controller of pytest-xdist's workers."""

    def __init__(self) -> None:
        self._leaks: dict[str, list[tuple[str, str]]] = {}
        self._absent = set[str]()  # in workers

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._absent.update(getattr(node, "workeroutput", {}).get(ABSENT, ()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" and report.user_properties:
            for name, value in report.user_properties:
                if name == PROPERTY:
                    kind, _, rest = str(value).partition(": ")
                    self._leaks.setdefault(kind, []).append((report.nodeid, rest))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._leaks:
            return
        terminalreporter.section("ipc leaks", yellow=True)
        order = [*KINDS, *sorted(self._leaks.keys() - KINDS.keys())]
        for kind in sorted(self._leaks, key=order.index):
            self._list(terminalreporter, kind, [leak for leak in self._leaks[kind] if GUESS not in leak[1]], _SHOWN)
        for kind in sorted(self._leaks, key=order.index):
            guesses = [leak for leak in self._leaks[kind] if GUESS in leak[1]]
            self._list(terminalreporter, f"perhaps {kind}", guesses, _GUESSES)
        check: Any = terminalreporter.config.pluginmanager.get_plugin("ipc-leak-check")
        for text in sorted(self._absent.union(check.absent if check is not None else ())):
            terminalreporter.line(f"not looked at: {text}")

    @staticmethod
    def _list(terminalreporter: pytest.TerminalReporter, kind: str, found: list[tuple[str, str]], most: int) -> None:
        """Write the number of leaks of a kind, and the first ones."""
        if not found:
            return
        tests = len({nodeid for nodeid, _ in found})
        terminalreporter.line(f"{kind}: {len(found)} in {tests} test{'s' if tests > 1 else ''}")
        shown = found if terminalreporter.config.get_verbosity() > 0 else found[:most]
        for nodeid, what in shown:
            terminalreporter.line(f"  {nodeid}: {what}")
        if len(shown) < len(found):
            terminalreporter.line(f"  … and {len(found) - len(shown)} more; -v shows all")
