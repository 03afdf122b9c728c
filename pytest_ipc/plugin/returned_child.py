"""The hooks that are registered after a fork: stop a child that returns into pytest, read its note in the parent.

The stack at the fork shows its place: the set-up, call or tear-down of a test, or the set-up of a fixture; and the
outermost frame of the test's own code. If pytest's code runs in the child after that frame has ended, the child has
returned. Pytest's capture detects it first, before it reads the parent's captured output; else the next hook does.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from inspect import CO_GENERATOR, currentframe
from types import FrameType
from typing import Any, Protocol

import pytest

_PHASES = {"pytest_runtest_setup": "setup", "pytest_runtest_call": "call", "pytest_runtest_teardown": "teardown"}


class Guard(Protocol):
    """The actions of a fork guard in a child."""

    manager: pytest.PytestPluginManager

    def stop(self, test: str, phase: str, error: BaseException | None) -> None:
        """Write a note and exit."""

    def forked_by_plugin(self) -> None:
        """Let this child run tests."""


class UnreadNotes(Protocol):
    """The notes of stopped children, and the advice that comes with them."""

    advice: str

    def __bool__(self) -> bool:
        """Return whether there are any."""

    def take(self) -> list[dict[str, str]]:
        """Return them, once."""


@dataclass
class _Place:
    """The place of a fork: a phase of a test, and the outermost frame of the test's own code in it."""

    config: pytest.Config
    phase: str
    frame: FrameType
    item: pytest.Item | None = None


def prepare(guards: Iterable[Guard]) -> None:
    """Register, in a child before os.fork() returns, the hooks that stop it when it returns into pytest."""
    places = _places()
    for guard in guards:
        place = places.get(guard.manager)
        if place is not None:
            _Returning(guard, place).watch()
        elif not _in_greenlet():
            guard.forked_by_plugin()


def _places() -> dict[object, _Place]:
    """Return the innermost place in each pytest that runs in this process, by its plugin manager."""
    found: dict[object, _Place] = {}
    own: FrameType | None = None
    for frame in _frames():
        name, internal = frame.f_code.co_name, _is_internal(frame)
        if name in _PHASES or name == "pytest_fixture_setup":
            if frame.f_code.co_flags & CO_GENERATOR:
                break  # a plugin's wrapper that runs a test or a fixture in a child
            item, request = frame.f_locals.get("item"), frame.f_locals.get("request")
            config = getattr(item or request, "config", None)
            if isinstance(config, pytest.Config):
                fixture = getattr(frame.f_locals.get("fixturedef"), "argname", "")
                phase = _PHASES.get(name) or f"setup of the fixture {fixture!r}"
                place = found.setdefault(config.pluginmanager, _Place(config, phase, own or frame))
                place.item = place.item or item
                own = None
        elif not internal:
            own = frame
    return found


def _frames() -> Iterator[FrameType]:
    """Yield the frames of this thread, innermost first; in a greenlet, then those of the greenlet that runs pytest."""
    frame: FrameType | None = currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
    if _in_greenlet():
        root = sys.modules["greenlet"].getcurrent()
        while root.parent is not None:
            root = root.parent
        frame = root.gr_frame
        while frame is not None:
            yield frame
            frame = frame.f_back


def _in_greenlet() -> bool:
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and greenlet.getcurrent().parent is not None


def _is_internal(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in ("_pytest", "pluggy", "pytest_ipc")


class _Returning:
    """The plugin object of the child, which stops it at the first hook after its return."""

    def __init__(self, guard: Guard, place: _Place) -> None:
        self._guard = guard
        self._place = place
        self._test = place.item.nodeid if place.item is not None else ""

    def watch(self) -> None:
        """Register the hooks and replace the methods that run first after a return."""
        manager = self._place.config.pluginmanager
        manager.register(self)
        capture: Any = manager.get_plugin("capturemanager")
        suspend = getattr(capture, "suspend_global_capture", None)
        if suspend is not None:

            def suspend_or_stop(*arguments: Any, **named: Any) -> Any:
                self._stop_if_returned(sys.exception())
                return suspend(*arguments, **named)

            capture.suspend_global_capture = suspend_or_stop
        self._watch_unittest()

    def _watch_unittest(self) -> None:
        """Stop the child in unittest, which keeps the exception and runs tearDown() before it returns into pytest."""
        item: Any = self._place.item
        unittest, case = sys.modules.get("unittest"), getattr(item, "instance", None)
        if unittest is None or not isinstance(case, unittest.TestCase):
            return
        for name in ("_callTestMethod", "_callTearDown"):
            setattr(case, name, self._stop_unittest)
        for name in ("addError", "addFailure", "addSkip", "addSubTest", "addExpectedFailure", "addUnexpectedSuccess"):
            if hasattr(item, name):  # the item is also the unittest.TestResult
                setattr(item, name, self._stop_unittest)

    def _stop_unittest(self, *arguments: object, **_named: object) -> None:
        triples = (each for each in arguments if isinstance(each, tuple) and len(each) == 3)
        self._guard.stop(self._test, self._place.phase, next(triples, (None, None, None))[1])

    def _stop_if_returned(self, error: BaseException | None) -> None:
        if not any(frame is self._place.frame for frame in _frames()):
            self._guard.stop(self._test, self._place.phase, error)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self) -> None:
        self._stop_if_returned(None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        # Before the next fixture is torn down: pytest raises the errors of finalizers only after all have run.
        if self._place.phase == "teardown":
            self._place.phase = f"tear-down of the fixture {fixturedef.argname!r}"
        self._stop_if_returned(None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> None:
        self._stop_if_returned(call.excinfo.value if call.excinfo is not None else None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._stop_if_returned(excinfo.value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._stop_if_returned(excinfo.value)


class NotesInReports:
    """The plugin object of a parent, which fails the tests whose children were stopped."""

    def __init__(self, manager: pytest.PytestPluginManager, notes: UnreadNotes) -> None:
        self._manager = manager
        self._notes = notes

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # Not in the report of a subtest, which is created while the test runs: the test itself must fail.
        if self._notes and self._manager not in _places() and (text := self._text(item)):
            _fail(report, text)
        return report

    def _text(self, item: pytest.Item) -> str:
        lines = []
        for note in self._notes.take():
            where = "" if note["test"] in (item.nodeid, "") else f" of {note['test']}"
            lines.append(f"child {note['pid']}, in the {note['phase']}{where}:\n{note['text']}")
        return "\n".join([self._notes.advice, *lines]) if lines else ""


def _fail(report: pytest.TestReport, text: str) -> None:
    longrepr: Any = report.longrepr
    if report.failed and hasattr(longrepr, "addsection"):
        longrepr.addsection("bare forks", text)
    else:
        before = f"{report.longreprtext}\n" if report.failed else ""
        report.outcome, report.longrepr = "failed", before + text
        vars(report).pop("wasxfail", None)
