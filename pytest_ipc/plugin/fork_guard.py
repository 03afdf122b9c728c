"""The fork guard: stop a child of a bare os.fork() that returns into pytest, before it acts as a second pytest.

Such a child would tear down its parent's fixtures, run the rest of the session and report its results to nobody. At the
fork, hooks are registered in the child alone: they write a note and exit as soon as the child returns into pytest
(returned_child.py). The parent looks for notes from the first fork on, and fails the test. A run that does not fork
pays for one comparison per test, which also finds a child that was forked below Python.

A child that a plugin forks outside the phases of a test, to run a whole test in it, is not stopped.
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

from ..unpatched import json, os, time

_NOTES = "ipc-notes-of-children"  # the plugin object that a parent has after its first fork
_ADVICE = (
    "A child of os.fork() returned into pytest's own code and was stopped there. Start children with the `fork` "
    "fixture, which runs a function in a child and returns its result or raises its exception; or end each child with "
    "os._exit() in a finally clause."
)
_SLOTS, _SLOT = 32, 1 << 15  # number of unread notes, and bytes of a note


class Notes:
    """Hold the notes of stopped children, each in its own slot; the first byte is 1 if there are unread ones.

    They are in anonymous memory shared with forked children: a test cannot close or reuse a descriptor of it, and a
    child in another namespace or of another user can still write to it.
    """

    advice = _ADVICE

    def __init__(self) -> None:
        size = _SLOT * (_SLOTS + 1)
        # Without memory, children are stopped all the same and only their notes are lost.
        try:
            self._memory: mmap | bytearray = mmap(-1, size)
        except OSError:
            self._memory = bytearray(size)

    def __bool__(self) -> bool:
        return self._memory[0] != 0

    def leave(self, note: dict[str, str]) -> None:
        """Write a note, in a child. The search for a slot begins at the pid, so that two children use two slots."""
        while len(text := json.dumps(note).encode() + b"\n") > _SLOT:
            note["text"] = f"…\n{note['text'][len(note['text']) // 2 :]}"
        for number in range(_SLOTS):
            slot = _SLOT * (1 + (os.getpid() + number) % _SLOTS)
            if not self._memory[slot]:
                self._memory[slot : slot + len(text)] = text
                break
        self._memory[0] = 1

    def close(self) -> None:
        """Free the memory. Notes of children that still live are lost."""
        memory, self._memory = self._memory, bytearray(_SLOT * (_SLOTS + 1))
        if isinstance(memory, mmap):
            memory.close()

    def take(self) -> list[dict[str, str]]:
        """Return the notes written since the last call, oldest first, and free their slots."""
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


class ForkGuard:
    """The plugin object that stops forked children which return into pytest, and fails their tests."""

    def __init__(self, manager: pytest.PytestPluginManager) -> None:
        self.manager = manager
        self._notes = Notes()
        self._pid = os.getpid()  # of the process that runs tests
        self._session_pid = self._pid
        self._late = ""
        self._late_in_workers: list[str] = []
        _guards.add(self)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        # The one hook in every test's path: a fork below Python, or by a greenlet, calls none of the functions below.
        if os.getpid() != self._pid:
            self.stop(item.nodeid, "test", None)
        if self._notes:
            self.forked()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, object, object]:
        pid = os.getpid()
        try:
            return (yield)
        finally:
            if os.getpid() != pid:
                self.stop("", f"collection of {collector.nodeid or 'the tests'}", sys.exception())

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_load_initial_conftests(self) -> Generator[None, object, object]:
        pid = os.getpid()
        try:
            return (yield)
        finally:
            if os.getpid() != pid:
                self.stop("", "import of a conftest.py", sys.exception())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        self._pid = self._session_pid = os.getpid()  # a plugin may have gone to the background

    def forked(self) -> None:
        """Look for notes after each phase from now on, in the parent."""
        if not self.manager.has_plugin(_NOTES):
            from .returned_child import NotesInReports

            self.manager.register(NotesInReports(self.manager, self._notes), _NOTES)

    def forked_by_plugin(self) -> None:
        """Accept this process as one that runs tests: it is a child that a plugin forked, not a test."""
        self._pid = os.getpid()

    def stop(self, test: str, phase: str, error: BaseException | None) -> None:
        """Write a note and exit, in the child, with the status of a SystemExit *error*, else 1."""
        status = 1
        try:
            if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
                status = (error.code or 0) & 0xFF
            frames = _own_frames(error.__traceback__) if error else None
            text = "".join(traceback.format_exception(type(error), error, frames)) if error else "it returned\n"
            at = str(time.monotonic_ns())
            self._notes.leave(
                {"pid": str(os.getpid()), "at": at, "test": test[-500:], "phase": phase[:500], "text": text}
            )
        finally:
            os._exit(status)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Fail the session if a child returned after its test was over."""
        # The innermost wrapper: others write the summary, and report to a worker's controller, after this one.
        if os.getpid() != self._session_pid:
            os._exit(1)
        result = yield
        if os.getpid() != self._session_pid:
            os._exit(1)
        if late := self._notes.take():
            tests = ", ".join(sorted({note["test"] for note in late})) or "a test"
            self._late = f"{_ADVICE} It was too late to fail {tests}.\n" + "\n".join(note["text"] for note in late)
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            if hasattr(session.config, "workeroutput"):
                session.config.workeroutput["ipc_bare_forks"] = self._late
        if self._late_in_workers and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        self._notes.close()  # a test that runs a pytest in this process would be charged with it

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take, in the controller, the notes that a worker reported at the end of its session."""
        if text := getattr(node, "workeroutput", {}).get("ipc_bare_forks"):
            self._late_in_workers.append(text)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        late = [*self._late_in_workers, *([self._late] if self._late else [])]
        if late:
            terminalreporter.section("bare forks", red=True, bold=True)
            for text in late:
                terminalreporter.line(text)


_guards: WeakSet[ForkGuard] = WeakSet()  # more than one where a test runs a pytest in this process


def _before() -> None:
    # A child may be unable to import. If the parent is too, the comparison per test must suffice.
    with suppress(Exception):
        from . import returned_child  # noqa: F401


def _in_child() -> None:
    # A child that never returns must not be disturbed by an exception here.
    with suppress(Exception):
        if returned_child := sys.modules.get(f"{__package__}.returned_child"):
            returned_child.prepare(_guards)


def _in_parent() -> None:
    for guard in _guards:
        with suppress(Exception):  # CPython would write a traceback into the output of the project
            guard.forked()


os.register_at_fork(before=_before, after_in_child=_in_child, after_in_parent=_in_parent)


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame outside pytest and this package."""
    frame = tb
    while frame is not None:
        folder, name = os.path.split(os.path.dirname(frame.tb_frame.f_code.co_filename))
        if name not in ("_pytest", "pluggy") and os.path.join(folder, name) != os.path.dirname(__file__):
            return frame
        frame = frame.tb_next
    return tb
