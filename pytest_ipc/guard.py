"""Bare forks: a child of os.fork() in a test that runs back into pytest is stopped before it becomes a second pytest.

Such a child would tear the fixtures down, its parent's too, run the rest of the session and report to nobody, and a failure in
it would be lost. So each phase of a test looks whether it is still in the process that it began in. If it is not, the child
writes down how it got there and leaves by os._exit; the parent finds the note at the end of the phase and fails the test.

The note is a memory file made before the first test: an append of one line a child, which needs no agreement with anybody.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Generator
from functools import wraps
from types import TracebackType
from typing import Any

import pytest

from .memfile import memory_file, read_from
from .unpatched import json, os

ADVICE = (
    "A child of os.fork() came back into pytest's own code and was stopped there. Start children with the `fork` fixture, which "
    "runs a function in them and brings back its result or its exception; or end them with os._exit() whatever happens."
)


class ForkGuard:
    """The plugin object: one note for the session, looked at after every phase."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._note = memory_file("pytest-ipc-bare-forks")
        self._read = 0
        self._test = ""
        self._late = ""
        self._late_in_workers: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        # The outermost: who is here in a child has come back before this test began, as from a fork while it was collected.
        if os.getpid() != self._pid:
            self._stop(item.nodeid, "session before it", None)
        self._test = item.nodeid
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        # Between there and here only a plugin can have forked, one that runs whole tests in children and ends them itself.
        self._pid = os.getpid()
        return (yield from self._phase(item, "setup"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        self._watch_unittest(item)
        return (yield from self._phase(item, "call"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        return (yield from self._phase(item, "teardown"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        try:
            result = yield
        except BaseException as error:
            if os.getpid() != self._pid:
                self._stop(self._test, f"setup of the fixture {fixturedef.argname!r}", error)
            raise
        if os.getpid() != self._pid:
            self._stop(self._test, f"setup of the fixture {fixturedef.argname!r}", None)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        # Before the next fixture is torn down. What this one's finalizers raised is raised only when all have been.
        if os.getpid() != self._pid:
            self._stop(self._test, f"tear-down of the fixture {fixturedef.argname!r}", None)

    def _phase(self, item: pytest.Item, phase: str) -> Generator[None, None, None]:
        # trylast makes this the innermost wrapper: nothing else of pytest's runs between the test and here.
        if os.getpid() != self._pid:
            self._stop(item.nodeid, phase, None)
        try:
            result = yield
        except BaseException as error:
            if os.getpid() != self._pid:
                self._stop(item.nodeid, phase, error)
            if notes := self._notes(item):
                if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
                    pytest.fail(notes, pytrace=False)
                error.add_note(notes)
            raise
        if os.getpid() != self._pid:
            self._stop(item.nodeid, phase, None)
        if notes := self._notes(item):
            pytest.fail(notes, pytrace=False)
        return result

    def _watch_unittest(self, item: pytest.Item) -> None:
        """unittest keeps a test's exception to itself and runs tearDown() before it comes back: stop a child before that."""
        unittest = sys.modules.get("unittest")
        test: Any = getattr(item, "obj", None)
        if unittest is None or not isinstance(getattr(test, "__self__", None), unittest.TestCase):
            return
        if not inspect.iscoroutinefunction(test):
            item.obj = self._stopping(item, test)  # type: ignore[attr-defined] # of every item that runs a function
        for name in ("addError", "addFailure", "addSubTest"):
            report = getattr(item, name, None)  # the item is the unittest.TestResult, too
            if report is not None:
                setattr(item, name, self._stopping(item, report))

    def _stopping(self, item: pytest.Item, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if os.getpid() != self._pid:
                told = (each[1] for each in arguments if isinstance(each, tuple) and len(each) == 3)
                self._stop(item.nodeid, "call", next(told, None))
            try:
                return function(*arguments, **named)
            except BaseException as error:
                if os.getpid() != self._pid:
                    self._stop(item.nodeid, "call", error)
                raise
            finally:
                if os.getpid() != self._pid:
                    self._stop(item.nodeid, "call", None)

        return wrapped

    def _stop(self, test: str, phase: str, error: BaseException | None) -> None:
        """In the child: write down what happened and leave."""
        try:
            frames = _own_frames(error.__traceback__) if error else None
            text = "".join(traceback.format_exception(type(error), error, frames)) if error else "it returned\n"
            line = json.dumps({"pid": os.getpid(), "test": test, "phase": phase, "text": text}) + "\n"
            os.write(self._note, line.encode())
        finally:
            os._exit(1)

    def _notes(self, item: pytest.Item) -> str:
        """In the parent: what children have written since the last time."""
        told = []
        for note in self._unread():
            where = "" if note["test"] == item.nodeid else f" of {note['test']}"
            told.append(f"child {note['pid']}, in the {note['phase']}{where}:\n{note['text']}")
        return "\n".join([ADVICE, *told]) if told else ""

    def _unread(self) -> list[dict[str, str]]:
        if os.fstat(self._note).st_size == self._read:
            return []
        data = read_from(self._note, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """A child that came back after its test was over has no test to fail: the session does."""
        # The innermost wrapper: others tell the summary, and a worker's controller, when this one is through.
        if os.getpid() != self._pid:
            os._exit(1)
        result = yield
        if os.getpid() != self._pid:
            os._exit(1)
        if late := self._unread():
            tests = ", ".join(sorted({note["test"] for note in late}))
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
        """In the controller: what a worker could tell only when its session was over."""
        if told := getattr(node, "workeroutput", {}).get("ipc_bare_forks"):
            self._late_in_workers.append(told)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        late = [*self._late_in_workers, *([self._late] if self._late else [])]
        if late:
            terminalreporter.section("bare forks", red=True, bold=True)
            for told in late:
                terminalreporter.line(told)

    def pytest_unconfigure(self) -> None:
        os.close(self._note)


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback from the project's own code on: what comes before is the way that pytest takes to it."""
    frame = tb
    while frame is not None:
        folder, name = os.path.split(os.path.dirname(frame.tb_frame.f_code.co_filename))
        if name not in ("_pytest", "pluggy") and os.path.join(folder, name) != os.path.dirname(__file__):
            return frame
        frame = frame.tb_next
    return tb
