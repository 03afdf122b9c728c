"""The fork guard: stop a child of a bare os.fork() that returns into pytest, before it acts as a second pytest.

Such a child would tear down its parent's fixtures, run the rest of the session and report to nobody. Each part of a run in
which test code may fork (a phase of a test, the set-up of a fixture, a collection) compares the process id at its beginning
with that at its end. If they differ, the child leaves a note and exits; the parent finds the note and fails the test.

The notes lie in anonymous memory that forked children share: there is no descriptor that a test could close or reuse, and no
file that a child in another namespace or of another user could not write. A child that a plugin forks between two phases, to
run a whole test in it, begins and ends its phases itself and is left alone.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator
from contextlib import suppress
from mmap import mmap
from types import TracebackType
from typing import Any
from weakref import WeakSet

import pytest

from .unpatched import json, os, time

ADVICE = (
    "A child of os.fork() returned into pytest's own code and was stopped there. Start children with the `fork` fixture, which "
    "runs a function in them and brings back its result or its exception; or end them with os._exit() whatever happens."
)
_SLOTS, _SLOT = 32, 1 << 15  # children whose notes are not read yet, and bytes of a note


class Notes:
    """What stopped children have written, each in a slot of its own. The first byte is 1 when there is something new."""

    def __init__(self) -> None:
        size = _SLOT * (_SLOTS + 1)
        # Where no memory can be had children are stopped all the same, and only their notes are lost.
        try:
            self._memory: mmap | bytearray = mmap(-1, size)
        except OSError:
            self._memory = bytearray(size)

    def __bool__(self) -> bool:
        return self._memory[0] != 0

    def leave(self, note: dict[str, str]) -> None:
        """Write a note, in a child. The pid decides where the search for a slot begins: two children do not take the same."""
        while len(text := json.dumps(note).encode() + b"\n") > _SLOT:
            note["text"] = f"…\n{note['text'][len(note['text']) // 2 :]}"
        for number in range(_SLOTS):
            slot = _SLOT * (1 + (os.getpid() + number) % _SLOTS)
            if not self._memory[slot]:
                self._memory[slot : slot + len(text)] = text
                break
        self._memory[0] = 1

    def take(self) -> list[dict[str, str]]:
        """Return the notes that were written since the last call, in their order, and free their slots."""
        if not self._memory[0]:
            return []
        self._memory[0] = 0
        found = []
        for slot in range(_SLOT, _SLOT * (_SLOTS + 1), _SLOT):
            text, end, _ = self._memory[slot : slot + _SLOT].partition(b"\n")
            if end:
                self._memory[slot : slot + _SLOT] = bytes(_SLOT)
                found.append(json.loads(text))
        return sorted(found, key=lambda note: int(note["at"]))


def _phase(name: str) -> Any:
    """Return the wrapper of one phase of a test."""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def phase(self: ForkGuard, item: pytest.Item) -> Generator[None, object, object]:
        # trylast makes it the innermost wrapper: nothing else of pytest's runs between the test and here.
        self._pid = pid = os.getpid()
        self._item = item
        try:
            result = yield
        except BaseException as error:
            if os.getpid() != pid:
                self._stop(item.nodeid, name, error)
            self._item = None
            if self._notes and (text := self._new_notes(item)):
                if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
                    pytest.fail(text, pytrace=False)
                error.add_note(text)
            raise
        if os.getpid() != pid:
            self._stop(item.nodeid, name, None)
        self._item = None
        if self._notes and (text := self._new_notes(item)):
            pytest.fail(text, pytrace=False)
        return result

    return phase


class ForkGuard:
    """The plugin object."""

    def __init__(self) -> None:
        self._notes = Notes()
        self._session_pid = os.getpid()
        self._pid = self._session_pid  # at the beginning of the phase that runs
        self._item: pytest.Item | None = None  # whose phase runs
        self._late = ""
        self._late_in_workers: list[str] = []
        _guards.add(self)

    pytest_runtest_setup = _phase("setup")
    pytest_runtest_call = _phase("call")
    pytest_runtest_teardown = _phase("teardown")

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        pid = os.getpid()
        try:
            result = yield
        except BaseException as error:
            if os.getpid() != pid:
                self._stop(self._test, f"setup of the fixture {fixturedef.argname!r}", error)
            raise
        if os.getpid() != pid:
            self._stop(self._test, f"setup of the fixture {fixturedef.argname!r}", None)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        # Before the next fixture is torn down. What this one's finalizers raised is raised only when all have been.
        if self._item is not None and os.getpid() != self._pid:
            self._stop(self._test, f"tear-down of the fixture {fixturedef.argname!r}", None)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, object, object]:
        pid = os.getpid()
        try:
            return (yield)
        finally:
            if os.getpid() != pid:
                self._stop("", f"collection of {collector.nodeid or 'the tests'}", sys.exception())

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_load_initial_conftests(self) -> Generator[None, object, object]:
        pid = os.getpid()
        try:
            return (yield)
        finally:
            if os.getpid() != pid:
                self._stop("", "import of a conftest.py", sys.exception())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        self._session_pid = os.getpid()  # a plugin may have gone to the background

    @property
    def _test(self) -> str:
        return self._item.nodeid if self._item is not None else ""

    def child_was_forked(self) -> None:
        """In a child, before os.fork() returns: see to it that unittest does not run tearDown() there.

        unittest keeps a test's exception to itself and runs tearDown() before it returns.
        """
        unittest, case = sys.modules.get("unittest"), getattr(self._item, "instance", None)
        if unittest is None or not isinstance(case, unittest.TestCase):
            return
        for name in ("_callTestMethod", "_callTearDown"):
            setattr(case, name, self._stops)
        for name in ("addError", "addFailure", "addSkip", "addSubTest", "addExpectedFailure", "addUnexpectedSuccess"):
            if hasattr(self._item, name):  # the item is the unittest.TestResult, too
                setattr(self._item, name, self._stops)

    def _stops(self, *arguments: object, **_named: object) -> None:
        triples = (each for each in arguments if isinstance(each, tuple) and len(each) == 3)
        self._stop(self._test, "call", next(triples, (None, None, None))[1])

    def _stop(self, test: str, phase: str, error: BaseException | None) -> None:
        """In the child: leave a note of what happened, and exit."""
        try:
            frames = _own_frames(error.__traceback__) if error else None
            text = "".join(traceback.format_exception(type(error), error, frames)) if error else "it returned\n"
            at = str(time.monotonic_ns())
            self._notes.leave(
                {"pid": str(os.getpid()), "at": at, "test": test[-500:], "phase": phase[:500], "text": text}
            )
        finally:
            os._exit(1)

    def _new_notes(self, item: pytest.Item) -> str:
        """In the parent: what children have written since the last time."""
        lines = []
        for note in self._notes.take():
            where = "" if note["test"] in (item.nodeid, "") else f" of {note['test']}"
            lines.append(f"child {note['pid']}, in the {note['phase']}{where}:\n{note['text']}")
        return "\n".join([ADVICE, *lines]) if lines else ""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """A child that returns after its test is over has no test to fail: the session fails."""
        # The innermost wrapper: others write the summary, and inform a worker's controller, after this one.
        if os.getpid() != self._session_pid:
            os._exit(1)
        result = yield
        if os.getpid() != self._session_pid:
            os._exit(1)
        if late := self._notes.take():
            tests = ", ".join(sorted({note["test"] for note in late})) or "a test"
            self._late = f"{ADVICE} It was too late to fail {tests}.\n" + "\n".join(note["text"] for note in late)
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            if hasattr(session.config, "workeroutput"):
                session.config.workeroutput["ipc_bare_forks"] = self._late
        if self._late_in_workers and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """In the controller: what a worker could report only when its session was over."""
        if text := getattr(node, "workeroutput", {}).get("ipc_bare_forks"):
            self._late_in_workers.append(text)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        late = [*self._late_in_workers, *([self._late] if self._late else [])]
        if late:
            terminalreporter.section("bare forks", red=True, bold=True)
            for text in late:
                terminalreporter.line(text)


_guards: WeakSet[ForkGuard] = WeakSet()  # more than one where a test runs a pytest in this process


def _in_child() -> None:
    for guard in _guards:
        with suppress(
            Exception
        ):  # whatever an item or a case is like, the child of a test that uses neither is not disturbed
            guard.child_was_forked()


os.register_at_fork(after_in_child=_in_child)


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the project's own code on: pytest's frames before it are of no interest."""
    frame = tb
    while frame is not None:
        folder, name = os.path.split(os.path.dirname(frame.tb_frame.f_code.co_filename))
        if name not in ("_pytest", "pluggy") and os.path.join(folder, name) != os.path.dirname(__file__):
            return frame
        frame = frame.tb_next
    return tb
