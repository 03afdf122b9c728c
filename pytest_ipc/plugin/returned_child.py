"""The hooks that are registered after a fork: stop a child that returns into pytest, read its note in the parent.

At the fork the stack shows where that was: in the set-up, call or tear-down of a test, or in the set-up of a fixture,
and which frame is the outermost of the test's own code there. When pytest goes on in the child and that frame has
ended, the child has returned. The first to notice is pytest's capture, before it takes what the parent has captured;
else it is the next hook.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from inspect import CO_GENERATOR, currentframe
from types import FrameType
from typing import Any, Protocol

import pytest

from .child_notes import ADVICE, Notes

_PHASES = {"pytest_runtest_setup": "setup", "pytest_runtest_call": "call", "pytest_runtest_teardown": "teardown"}


class Guard(Protocol):
    """What a fork guard does in a child."""

    manager: pytest.PytestPluginManager

    def stop(self, test: str, phase: str, error: BaseException | None) -> None:
        """Leave a note and exit."""

    def forked_by_plugin(self) -> None:
        """Leave this child alone."""


@dataclass
class _Place:
    """Where a child was forked: a phase of a test, and the outermost frame of the test's own code in it."""

    config: pytest.Config
    phase: str
    frame: FrameType
    item: pytest.Item | None = None


def prepare(guards: Iterable[Guard]) -> None:
    """In a child, before os.fork() returns: see to it that it is stopped when it returns into pytest."""
    places = _places()
    for guard in guards:
        place = places.get(guard.manager)
        if place is not None:
            _Returning(guard, place).watch()
        elif not _in_greenlet():
            guard.forked_by_plugin()


def _places() -> dict[object, _Place]:
    """By the plugin manager of each pytest that runs in this process: the innermost place."""
    found: dict[object, _Place] = {}
    own: FrameType | None = None
    for frame in _frames():
        name, internal = frame.f_code.co_name, _is_internal(frame)
        if name in _PHASES or name == "pytest_fixture_setup":
            if frame.f_code.co_flags & CO_GENERATOR:
                break  # a plugin's wrapper, which runs a test or a fixture in a child
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
    """The frames of this thread, from the innermost on.

    In a greenlet, those of the one that pytest runs in after its own.
    """
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
    """The plugin object of the child."""

    def __init__(self, guard: Guard, place: _Place) -> None:
        self._guard = guard
        self._place = place
        self._test = place.item.nodeid if place.item is not None else ""

    def watch(self) -> None:
        """Put the hooks and methods in place."""
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
        """unittest keeps a test's exception to itself, and runs tearDown(), before it returns into pytest."""
        item: Any = self._place.item
        unittest, case = sys.modules.get("unittest"), getattr(item, "instance", None)
        if unittest is None or not isinstance(case, unittest.TestCase):
            return
        for name in ("_callTestMethod", "_callTearDown"):
            setattr(case, name, self._stop_unittest)
        for name in ("addError", "addFailure", "addSkip", "addSubTest", "addExpectedFailure", "addUnexpectedSuccess"):
            if hasattr(item, name):  # the item is the unittest.TestResult, too
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
        # Before the next fixture is torn down. What this one's finalizers raised is raised only when all have been.
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
    """The plugin object of a parent: a test whose child was stopped fails."""

    def __init__(self, manager: pytest.PytestPluginManager, notes: Notes) -> None:
        self._manager = manager
        self._notes = notes

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # Not in the report of a subtest, which is made while the test runs: the test itself must fail.
        if self._notes and self._manager not in _places() and (text := self._text(item)):
            _fail(report, text)
        return report

    def _text(self, item: pytest.Item) -> str:
        lines = []
        for note in self._notes.take():
            where = "" if note["test"] in (item.nodeid, "") else f" of {note['test']}"
            lines.append(f"child {note['pid']}, in the {note['phase']}{where}:\n{note['text']}")
        return "\n".join([ADVICE, *lines]) if lines else ""


def _fail(report: pytest.TestReport, text: str) -> None:
    longrepr: Any = report.longrepr
    if report.failed and hasattr(longrepr, "addsection"):
        longrepr.addsection("bare forks", text)
    else:
        before = f"{report.longreprtext}\n" if report.failed else ""
        report.outcome, report.longrepr = "failed", before + text
        vars(report).pop("wasxfail", None)
