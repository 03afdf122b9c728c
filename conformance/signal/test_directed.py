"""Thread-directed signals: tgkill(2), pthread_sigqueue(3), and pidfds of threads (pidfd_open(2))."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EAGAIN, EINVAL, ENOENT, ESRCH
from signal import SIG_BLOCK, SIGCONT, SIGRTMIN, SIGSTOP, SIGUSR1, SIGUSR2
from threading import Event, Thread, get_native_id

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    PIDFD_SIGNAL_THREAD,
    PIDFD_SIGNAL_THREAD_GROUP,
    PIDFD_THREAD,
    SI_QUEUE,
    kill,
    pidfd_open,
    pidfd_send_signal,
    process_state,
    pthread_sigmask,
    pthread_sigqueue,
    sigpending,
    sigtimedwait,
    tgkill,
)

from .plain_child import NOBODY, SOON, bare_child, comes_true, limit_pending
from .test_threads import Helper

Life = Callable[[], object]


class Second(Helper):
    """A second thread, with its thread id."""

    def __init__(self) -> None:
        super().__init__()
        self.tid: int = self.do(get_native_id)

    def pending(self) -> set[int]:
        """Return the signals pending for the thread or the process."""
        return set(self.do(sigpending))


def blocking(*signals: int) -> Second:
    """Block signals in this process, a child, and start a second thread with the same mask."""
    pthread_sigmask(SIG_BLOCK, set(signals))
    return Second()


@clause("tgkill.directed", "tkill(2)", "DESCRIPTION", since="2.5.75")
def test_tgkill_signals_one_thread(fork):
    """tgkill() sends a signal to one thread, for which alone it pends; kill() sends one to the whole process."""

    def life() -> None:
        second = blocking(SIGUSR1, SIGUSR2)
        tgkill(os.getpid(), second.tid, SIGUSR1)
        kill(os.getpid(), SIGUSR2)
        assert set(sigpending()) == {SIGUSR2}
        assert second.pending() == {SIGUSR1, SIGUSR2}

    fork(life).result()


@clause("tgkill.other-group-esrch", "tkill(2)", "ERRORS", errno=ESRCH, since="2.5.75")
def test_tgkill_of_thread_in_other_group_fails(fork):
    """tgkill() fails with ESRCH if no thread of this ID exists in the thread group tgid."""

    def life() -> None:
        second = blocking(SIGUSR1)
        for tgid, tid in ((os.getppid(), second.tid), (second.tid, os.getpid()), (os.getpid(), NOBODY)):
            with fails_with(ESRCH):
                tgkill(tgid, tid, SIGUSR1)
        assert second.pending() == set()

    fork(life).result()


@clause("tgkill.einval", "tkill(2)", "ERRORS", errno=EINVAL, since="2.5.75")
@pytest.mark.parametrize(
    ("tgid", "tid", "signo"), [(0, 1, 0), (-1, 1, 0), (1, 0, 0), (1, -1, 0), (None, None, 1000), (None, None, -1)]
)
def test_tgkill_with_invalid_argument_fails(fork, tgid, tid, signo):
    """tgkill() fails with EINVAL for a tgid or tid that is not positive and for an invalid signal number."""

    def life() -> None:
        with fails_with(EINVAL):
            tgkill(os.getpid() if tgid is None else tgid, os.getpid() if tid is None else tid, signo)

    fork(life).result()


@clause("tgkill.queue-full-eagain", "tkill(2)", "ERRORS", errno=EAGAIN, since="2.5.75")
def test_tgkill_with_full_queue_fails(fork):
    """tgkill() with a real-time signal fails with EAGAIN if RLIMIT_SIGPENDING is reached."""

    def life() -> None:
        pthread_sigmask(SIG_BLOCK, {SIGRTMIN})
        limit_pending(0)
        with fails_with(EAGAIN):
            tgkill(os.getpid(), os.getpid(), SIGRTMIN)
        assert sigpending() == frozenset()

    fork(life).result()


@clause("signal.process-directed-to-who-unblocks", "signal(7)", "Signal mask and pending signals")
def test_process_directed_signal_goes_to_thread_that_does_not_block_it(fork):
    """A process-directed signal is delivered to a thread that does not block it, even if other threads do."""

    def life() -> None:
        came = []
        signal.signal(SIGUSR1, lambda *_: came.append(1))
        second = Second()
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        assert comes_true(lambda: SIGUSR1 not in second.pending())
        assert SIGUSR1 not in sigpending()
        assert came == [1]

    fork(life).result()


@clause("signal.thread-directed-waits", "signal(7)", "Signal mask and pending signals")
def test_thread_directed_signal_waits_for_its_thread(fork):
    """A thread-directed signal pends as long as its thread blocks it, even if another thread does not."""

    def life() -> None:
        came = []
        signal.signal(SIGUSR1, lambda *_: came.append(1))
        second = Second()
        second.do(lambda: pthread_sigmask(SIG_BLOCK, {SIGUSR1}))
        tgkill(os.getpid(), second.tid, SIGUSR1)
        assert (second.pending(), came) == ({SIGUSR1}, [])
        second.do(lambda: pthread_sigmask(signal.SIG_UNBLOCK, {SIGUSR1}))
        assert comes_true(lambda: came == [1])
        assert second.pending() == set()

    fork(life).result()


@clause("pthread_create.nothing-pending", "pthread_create(3)", "DESCRIPTION")
def test_new_thread_has_no_pending_signals(fork):
    """pthread_create(): the new thread inherits the signal mask of its creator, but no pending signals."""

    def life() -> None:
        pthread_sigmask(SIG_BLOCK, {SIGUSR1, SIGUSR2})
        tgkill(os.getpid(), os.getpid(), SIGUSR1)
        second = Second()
        assert (second.pending(), set(sigpending())) == (set(), {SIGUSR1})
        assert second.do(lambda: pthread_sigmask(SIG_BLOCK)) == {SIGUSR1, SIGUSR2}

    fork(life).result()


def states(pid: int) -> set[str]:
    """Return the states of a process's threads."""
    found = set()
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat") as stat:
            found.add(stat.read().rpartition(")")[2].split()[0])
    return found


@clause("pthread_kill.stop-stops-the-process", "pthread_kill(3)", "NOTES")
def test_stop_signal_to_one_thread_stops_process(fork, pipe):
    """A stop signal sent to one thread stops all threads of its process, and SIGCONT continues them all."""
    channel = pipe()

    def child() -> int:
        second = Second()
        channel.write(second.tid.to_bytes(4, "little"))
        signal.pause()
        return 0

    def life() -> None:
        pid = bare_child(child)
        tid = int.from_bytes(channel.read(4), "little")
        tgkill(pid, tid, SIGSTOP)
        assert comes_true(lambda: states(pid) == {"T"})
        tgkill(pid, tid, SIGCONT)
        assert comes_true(lambda: "T" not in states(pid))
        assert process_state(pid) is not None

    fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("pthread_sigqueue.value", "pthread_sigqueue(3)", "DESCRIPTION")
def test_pthread_sigqueue_sends_value_to_thread(fork):
    """pthread_sigqueue() sends a signal with a value to one thread of the process, and to no other."""

    def life() -> None:
        second = blocking(SIGUSR1)
        pthread_sigqueue(second.number, SIGUSR1, -42)
        assert sigpending() == frozenset()
        info = second.do(lambda: sigtimedwait({SIGUSR1}, SOON))
        assert (info.code, info.value, info.pid) == (SI_QUEUE, -42, os.getpid())

    fork(life).result()


@clause("pthread_sigqueue.einval", "pthread_sigqueue(3)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [-1, 1000])
def test_pthread_sigqueue_with_invalid_signal_fails(fork, signo):
    """pthread_sigqueue() fails with EINVAL for an invalid signal number."""

    def life() -> None:
        second = Second()
        with fails_with(EINVAL):
            pthread_sigqueue(second.number, signo, 0)

    fork(life).result()


@clause("pthread_sigqueue.eagain", "pthread_sigqueue(3)", "ERRORS", errno=EAGAIN)
def test_pthread_sigqueue_with_full_queue_fails(fork):
    """pthread_sigqueue() fails with EAGAIN if RLIMIT_SIGPENDING is reached."""

    def life() -> None:
        second = blocking(SIGRTMIN)
        limit_pending(0)
        with fails_with(EAGAIN):
            pthread_sigqueue(second.number, SIGRTMIN, 1)
        assert second.pending() == set()

    fork(life).result()


@contextmanager
def descriptor(tid: int, flags: int = 0) -> Iterator[int]:
    """Open a pidfd, and close it afterwards."""
    fd = pidfd_open(tid, flags)
    try:
        yield fd
    finally:
        os.close(fd)


@clause("pidfd_open.thread", "pidfd_open(2)", "PIDFD_THREAD", since="6.9")
def test_pidfd_thread_opens_any_thread(fork):
    """pidfd_open() with PIDFD_THREAD opens any thread of a process; without the flag it fails unless the thread is
    the group leader.
    """

    def life() -> None:
        second = Second()
        with fails_with(EINVAL, ENOENT):
            pidfd_open(second.tid)
        with descriptor(second.tid, PIDFD_THREAD), descriptor(os.getpid(), PIDFD_THREAD):
            pass

    fork(life).result()


@clause("pidfd_open.thread-readable-at-the-end", "pidfd_open(2)", "PIDFD_THREAD", since="6.9")
def test_pidfd_of_thread_is_readable_after_thread_exit(fork):
    """select() reports a pidfd of a thread as readable once the thread has exited, even if its process continues."""

    def life() -> None:
        go, tids = Event(), list[int]()

        def run() -> None:
            tids.append(get_native_id())
            go.wait()

        thread = Thread(target=run)
        thread.start()
        assert comes_true(lambda: bool(tids))
        with descriptor(tids[0], PIDFD_THREAD) as fd:
            assert not select.select([fd], [], [], 0)[0]
            go.set()
            thread.join()
            assert select.select([fd], [], [], SOON)[0] == [fd]

    fork(life).result()


@clause("pidfd_send_signal.thread-by-its-descriptor", "pidfd_send_signal(2)", "DESCRIPTION", since="6.9")
def test_pidfd_of_thread_signals_thread(fork):
    """pidfd_send_signal() without flags signals the thread of a PIDFD_THREAD pidfd, and the process of any other
    pidfd.
    """

    def life() -> None:
        second = blocking(SIGUSR1, SIGUSR2)
        with descriptor(second.tid, PIDFD_THREAD) as fd:
            pidfd_send_signal(fd, SIGUSR1)
        with descriptor(os.getpid()) as fd:
            pidfd_send_signal(fd, SIGUSR2)
        assert (second.pending(), set(sigpending())) == ({SIGUSR1, SIGUSR2}, {SIGUSR2})

    fork(life).result()


@clause("pidfd_send_signal.scope", "pidfd_send_signal(2)", "DESCRIPTION", since="6.9")
def test_signal_scope_flags(fork):
    """PIDFD_SIGNAL_THREAD signals the thread of any pidfd; PIDFD_SIGNAL_THREAD_GROUP signals the process, also with a
    PIDFD_THREAD pidfd of its leader."""

    def life() -> None:
        second = blocking(SIGUSR1, SIGUSR2)
        with descriptor(os.getpid()) as fd:
            pidfd_send_signal(fd, SIGUSR1, PIDFD_SIGNAL_THREAD)
        with descriptor(os.getpid(), PIDFD_THREAD) as fd:
            pidfd_send_signal(fd, SIGUSR2, PIDFD_SIGNAL_THREAD_GROUP)
        assert (set(sigpending()), second.pending()) == ({SIGUSR1, SIGUSR2}, {SIGUSR2})

    fork(life).result()


@clause("pidfd_send_signal.one-scope-einval", "pidfd_send_signal(2)", "ERRORS", errno=EINVAL, since="6.9")
def test_two_signal_scopes_fail(fork):
    """pidfd_send_signal() fails with EINVAL if two scope flags are given."""

    def life() -> None:
        with descriptor(os.getpid()) as fd, fails_with(EINVAL):
            pidfd_send_signal(fd, 0, PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP)

    fork(life).result()
