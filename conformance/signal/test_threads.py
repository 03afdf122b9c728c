"""pthread_sigmask(3), pthread_kill(3), sigwait(3): signals in a multithreaded process."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EINTR, EINVAL
from functools import partial
from signal import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGKILL, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2
from threading import Event, Thread, get_native_id
from typing import Any

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    Deadline,
    kill,
    numbers_of,
    pthread_kill,
    pthread_self,
    pthread_sigmask,
    read,
    sigpending,
    sigwait,
)


class Helper:
    """A second thread, which runs one function at a time on request."""

    def __init__(self) -> None:
        self.number = self.tid = 0
        self.results: list[Any] = []
        self._task: Callable[[], Any] | None = None
        self._begin, self._ready = Event(), Event()
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()
        self._ready.wait(5)

    def _work(self) -> None:
        self.number, self.tid = pthread_self(), get_native_id()
        self._ready.set()
        while self._begin.wait():
            self._begin.clear()
            if self._task is None:
                return
            try:
                self.results.append(self._task())
            except OSError as error:
                self.results.append(error.errno)

    def begin(self, task: Callable[[], Any]) -> None:
        """Let the thread start a function."""
        self._task = task
        self._begin.set()

    def wait_blocked(self, call: str) -> None:
        """Wait until the thread sleeps in system call *call*. TimeoutError; untested if the kernel does not show it."""
        numbers = numbers_of(call)

        def blocked() -> bool:
            try:
                with open(f"/proc/self/task/{self.tid}/syscall") as shown:
                    number = shown.read().partition(" ")[0]
            except OSError:
                untested(Need.PROC_FILES, "needs /proc/PID/task/TID/syscall")
            return number.isdigit() and int(number) in numbers

        if not Deadline(4).until(blocked):
            raise TimeoutError(f"the other thread did not sleep in {call} within 4 s")

    def end(self) -> Any:
        """Return the function's result, an errno for an OSError. TimeoutError."""
        if not Deadline(4).until(lambda: bool(self.results)):
            raise TimeoutError("the other thread did not finish within 4 s")
        return self.results.pop()

    def do(self, task: Callable[[], Any]) -> Any:
        """Let the thread run a function, and return its result."""
        self.begin(task)
        return self.end()


def counted(fd: int) -> int:
    """Return the number of bytes that read(2) of one byte returns."""
    return len(read(fd, 1))


@clause("pthread_sigmask.per-thread", "pthread_sigmask(3)", "DESCRIPTION")
def test_mask_is_per_thread(fork):
    """pthread_sigmask() changes the mask of the calling thread only."""

    def life() -> list[bool]:
        pthread_sigmask(SIG_SETMASK, {SIGUSR1})
        helper = Helper()
        helper.do(lambda: pthread_sigmask(SIG_SETMASK, {SIGUSR2}))
        pthread_sigmask(SIG_UNBLOCK, {SIGUSR1})
        pthread_sigmask(SIG_BLOCK, {SIGRTMIN})
        return [pthread_sigmask(SIG_BLOCK) == {SIGRTMIN}, helper.do(lambda: pthread_sigmask(SIG_BLOCK)) == {SIGUSR2}]

    assert fork(life).result() == [True, True]


@clause("pthread_sigmask.inherited", "pthread_sigmask(3)", "NOTES")
def test_new_thread_inherits_mask(fork):
    """A new thread inherits a copy of the mask of its creator."""

    def life() -> bool:
        pthread_sigmask(SIG_SETMASK, {SIGUSR1, SIGRTMIN})
        helper = Helper()
        pthread_sigmask(SIG_SETMASK, set())
        return bool(helper.do(lambda: pthread_sigmask(SIG_BLOCK)) == {SIGUSR1, SIGRTMIN})

    assert fork(life).result()


@clause("pthread_sigmask.error-number", "pthread_sigmask(3)", "RETURN VALUE", errno=EINVAL)
def test_unknown_how_returns_einval(fork):
    """pthread_sigmask() returns EINVAL for an unknown how and changes nothing; with a NULL set it ignores how."""

    def life() -> bool:
        pthread_sigmask(SIG_SETMASK, {SIGUSR1})
        with fails_with(EINVAL):
            pthread_sigmask(77, {SIGUSR2})
        return pthread_sigmask(77) == {SIGUSR1}

    assert fork(life).result()


@clause("pthread_kill.directed", "pthread_kill(3)", "DESCRIPTION")
def test_signal_pends_for_its_thread_only(fork):
    """A signal sent with pthread_kill() pends for that thread only."""

    def life() -> tuple[bool, bool]:
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        helper = Helper()
        pthread_kill(helper.number, SIGUSR1)
        return SIGUSR1 in helper.do(sigpending), SIGUSR1 in sigpending()

    assert fork(life).result() == (True, False)


@clause("pthread_kill.interrupts-that-thread", "pthread_kill(3)", "NOTES", errno=EINTR)
def test_handler_runs_in_its_thread(fork, signals):
    """A handler for a pthread_kill() signal runs in that thread: its read() fails with EINTR, while that of another
    thread continues.
    """

    def life() -> tuple[int, int]:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        ends = [os.pipe(), os.pipe()]
        helpers = [Helper(), Helper()]
        for helper, (source, _) in zip(helpers, ends, strict=True):
            helper.begin(partial(counted, source))
        for helper in helpers:
            helper.wait_blocked("read")
        pthread_kill(helpers[0].number, SIGUSR1)
        first = helpers[0].end()
        os.write(ends[1][1], b"x")
        return first, helpers[1].end()

    assert fork(life).result(timeout=30) == (EINTR, 1)


@clause("pthread_kill.signal-0", "pthread_kill(3)", "DESCRIPTION", errno=EINVAL)
def test_signal_0_sends_nothing(fork):
    """pthread_kill() with signal 0 succeeds and sends nothing; it returns EINVAL for an invalid signal number."""

    def life() -> bool:
        everything = set(range(1, 65)) - {SIGKILL, 19, 32, 33, 34}
        pthread_sigmask(SIG_BLOCK, everything)
        helper = Helper()
        pthread_kill(helper.number, 0)
        for wrong in (-1, 65):
            with fails_with(EINVAL):
                pthread_kill(helper.number, wrong)
        return bool(helper.do(sigpending) == set() == sigpending())

    assert fork(life).result()


@pytest.mark.usefixtures("nproc_limit")
@clause("pthread_kill.default-ends-the-process", "pthread_kill(3)", "NOTES")
def test_default_action_affects_whole_process(fork, signals):
    """A pthread_kill() signal whose default action is to terminate terminates the whole process."""

    def life() -> None:
        signals.default(SIGTERM)
        helper = Helper()
        helper.do(lambda: pthread_sigmask(SIG_UNBLOCK, {SIGTERM}))
        pthread_sigmask(SIG_BLOCK, {SIGTERM})
        pthread_kill(helper.number, SIGTERM)
        Deadline(4).until(lambda: False)

    assert fork(life).wait(timeout=30) == -SIGTERM


@clause("sigwait.takes-a-signal", "sigwait(3)", "DESCRIPTION")
def test_sigwait_takes_signal_of_set(fork):
    """sigwait() waits for a signal of the set and returns its number; that signal no longer pends, others stay
    pending.
    """

    def life() -> tuple[int, bool]:
        pthread_sigmask(SIG_BLOCK, {SIGUSR1, SIGUSR2, SIGTERM})
        kill(os.getpid(), SIGUSR1)
        return sigwait({SIGUSR2, SIGTERM}), sigpending() == {SIGUSR1}

    child = fork(life)
    child.wait_blocked("sigwait")
    kill(child.pid, SIGUSR2)
    assert child.result() == (SIGUSR2, True)


@clause("sigwait.one-thread-of-several", "sigwait(3)", "DESCRIPTION")
def test_one_of_several_threads_takes_signal(fork):
    """If several threads wait in sigwait(), one takes a signal sent to the process, and the others continue to wait."""

    def life() -> tuple[list[int], int]:
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        helpers = [Helper() for _ in range(3)]
        for helper in helpers:
            helper.begin(lambda: sigwait({SIGUSR1}))
        for helper in helpers:
            helper.wait_blocked("sigwait")
        kill(os.getpid(), SIGUSR1)
        Deadline(4).until(lambda: any(helper.results for helper in helpers))
        for helper in helpers:
            if not helper.results:
                helper.wait_blocked("sigwait")
        return [number for helper in helpers for number in helper.results], len(sigpending())

    assert fork(life).result(timeout=60) == ([SIGUSR1], 0)


@clause("sigwait.thread-directed", "sigwait(3)", "DESCRIPTION")
def test_thread_directed_signal_ends_sigwait(fork):
    """A pthread_kill() signal for one of two threads in sigwait() is taken by that thread."""

    def life() -> tuple[int, list[int]]:
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        helpers = [Helper(), Helper()]
        for helper in helpers:
            helper.begin(lambda: sigwait({SIGUSR1}))
        for helper in helpers:
            helper.wait_blocked("sigwait")
        pthread_kill(helpers[1].number, SIGUSR1)
        return helpers[1].end(), helpers[0].results

    assert fork(life).result(timeout=30) == (SIGUSR1, [])
