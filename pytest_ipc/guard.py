"""Bare forks: a child of os.fork() in a test that runs back into pytest is stopped before it becomes a second pytest.

Such a child would tear the fixtures down, its parent's too, run the rest of the session and report to nobody, and a failure in
it would be lost. So each phase of a test looks whether it is still in the process that it began in. If it is not, the child
writes down how it got there and leaves by os._exit; the parent finds the note at the end of the phase and fails the test.

The note is a memory file made before the first test: an append of one line a child, which needs no agreement with anybody.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Generator
from types import TracebackType

import pytest

from .memfile import memory_file

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

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        return (yield from self._phase(item, "setup"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        return (yield from self._phase(item, "call"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        return (yield from self._phase(item, "teardown"))

    def _phase(self, item: pytest.Item, phase: str) -> Generator[None, None, None]:
        # trylast makes this the innermost wrapper: nothing else of pytest's runs between the test and here.
        if os.getpid() != self._pid:
            self._stop(item, phase, None)
        try:
            result = yield
        except BaseException as error:
            if os.getpid() != self._pid:
                self._stop(item, phase, error)
            notes = self._notes(item)
            if notes:
                error.add_note(notes)
            raise
        if os.getpid() != self._pid:
            self._stop(item, phase, None)
        notes = self._notes(item)
        if notes:
            pytest.fail(notes, pytrace=False)
        return result

    def _stop(self, item: pytest.Item, phase: str, error: BaseException | None) -> None:
        """In the child: write down what happened and leave."""
        try:
            import json

            frames = _own_frames(error.__traceback__) if error else None
            text = "".join(traceback.format_exception(type(error), error, frames)) if error else "it returned\n"
            line = json.dumps({"pid": os.getpid(), "test": item.nodeid, "phase": phase, "text": text}) + "\n"
            os.write(self._note, line.encode())
        finally:
            os._exit(1)

    def _notes(self, item: pytest.Item) -> str:
        """In the parent: what children have written since the last time."""
        if os.fstat(self._note).st_size == self._read:
            return ""
        import json

        data = os.pread(self._note, 1 << 30, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        told = []
        for line in whole.splitlines():
            note = json.loads(line)
            where = "" if note["test"] == item.nodeid else f" of {note['test']}"
            told.append(f"child {note['pid']}, in the {note['phase']}{where}:\n{note['text']}")
        return "\n".join([ADVICE, *told]) if told else ""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A child that came back after its test was over has no test to fail: the session does."""
        if os.getpid() != self._pid:
            os._exit(1)
        if os.fstat(self._note).st_size > self._read:
            import json

            data = os.pread(self._note, 1 << 30, self._read)
            tests = {json.loads(line)["test"] for line in data.splitlines()}
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self.late = f"{ADVICE} It was too late to fail {', '.join(sorted(tests))}."

    late = ""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.late:
            terminalreporter.section("bare forks", red=True, bold=True)
            terminalreporter.line(self.late)

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
