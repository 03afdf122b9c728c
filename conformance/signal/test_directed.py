"""Signals that are directed at a thread: tgkill(2), pthread_sigqueue(3), and descriptors of threads (pidfd_open(2))."""

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
    Deadline,
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

from .plain_child import NOBODY, SOON, bare_child, limit_pending
from .test_threads import Helper

Life = Callable[[], object]


class Second(Helper):
    """A second thread whose thread id is known."""

    def __init__(self) -> None:
        super().__init__()
        self.tid: int = self.do(get_native_id)

    def pending(self) -> set[int]:
        """What waits for it, or for the process."""
        return set(self.do(sigpending))


def blocking(*signals: int) -> Second:
    """Block signals in this process, a child, and start a second thread, which has the same mask."""
    pthread_sigmask(SIG_BLOCK, set(signals))
    return Second()


@clause("tgkill.directed", "tkill(2)", "DESCRIPTION", since="2.5.75")
def test_tgkill_signals_a_thread(fork):
    """tgkill() sends a signal to one thread, for which alone it pends; kill() sends one to the process."""

    def life() -> None:
        second = blocking(SIGUSR1, SIGUSR2)
        tgkill(os.getpid(), second.tid, SIGUSR1)
        kill(os.getpid(), SIGUSR2)
        assert set(sigpending()) == {SIGUSR2}
        assert second.pending() == {SIGUSR1, SIGUSR2}

    fork(life).result()


@clause("tgkill.other-group-esrch", "tkill(2)", "ERRORS", errno=ESRCH, since="2.5.75")
def test_tgkill_wants_the_threads_own_group(fork):
    """tgkill() fails when the thread is not in the thread group that is named, or when there is none of that id."""

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
def test_tgkill_wants_numbers_that_can_be(fork, tgid, tid, signo):
    """tgkill() refuses ids that are not positive and numbers that no signal has."""

    def life() -> None:
        with fails_with(EINVAL):
            tgkill(os.getpid() if tgid is None else tgid, os.getpid() if tid is None else tid, signo)

    fork(life).result()


@clause("tgkill.queue-full-eagain", "tkill(2)", "ERRORS", errno=EAGAIN, since="2.5.75")
def test_tgkill_needs_room_for_a_real_time_signal(fork):
    """tgkill() of a real-time signal fails when RLIMIT_SIGPENDING is reached."""

    def life() -> None:
        pthread_sigmask(SIG_BLOCK, {SIGRTMIN})
        limit_pending(0)
        with fails_with(EAGAIN):
            tgkill(os.getpid(), os.getpid(), SIGRTMIN)
        assert sigpending() == frozenset()

    fork(life).result()


@clause("signal.process-directed-to-who-unblocks", "signal(7)", "Signal mask and pending signals")
def test_a_process_directed_signal_goes_to_who_does_not_block_it(fork):
    """A process-directed signal is delivered to a thread that does not block it, though others do."""

    def life() -> None:
        came = []
        signal.signal(SIGUSR1, lambda *_: came.append(1))
        second = Second()
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        assert Deadline(SOON).until(lambda: SIGUSR1 not in second.pending())
        assert SIGUSR1 not in sigpending()
        assert came == [1]

    fork(life).result()


@clause("signal.thread-directed-waits", "signal(7)", "Signal mask and pending signals")
def test_a_thread_directed_signal_waits_for_its_thread(fork):
    """A thread-directed signal waits as long as its thread blocks it, though another thread does not."""

    def life() -> None:
        came = []
        signal.signal(SIGUSR1, lambda *_: came.append(1))
        second = Second()
        second.do(lambda: pthread_sigmask(SIG_BLOCK, {SIGUSR1}))
        tgkill(os.getpid(), second.tid, SIGUSR1)
        assert (second.pending(), came) == ({SIGUSR1}, [])
        second.do(lambda: pthread_sigmask(signal.SIG_UNBLOCK, {SIGUSR1}))
        assert Deadline(SOON).until(lambda: came == [1])
        assert second.pending() == set()

    fork(life).result()


@clause("pthread_create.nothing-pending", "pthread_create(3)", "DESCRIPTION")
def test_nothing_pends_for_a_new_thread(fork):
    """A new thread inherits the mask, and not what pends for the thread that makes it."""

    def life() -> None:
        pthread_sigmask(SIG_BLOCK, {SIGUSR1, SIGUSR2})
        tgkill(os.getpid(), os.getpid(), SIGUSR1)
        second = Second()
        assert (second.pending(), set(sigpending())) == (set(), {SIGUSR1})
        assert second.do(lambda: pthread_sigmask(SIG_BLOCK)) == {SIGUSR1, SIGUSR2}

    fork(life).result()


def states(pid: int) -> set[str]:
    """The states of a process's threads."""
    found = set()
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat") as stat:
            found.add(stat.read().rpartition(")")[2].split()[0])
    return found


@clause("pthread_kill.stop-stops-the-process", "pthread_kill(3)", "NOTES")
def test_a_thread_that_is_stopped_stops_its_process(fork, pipe):
    """A stopping signal that is sent to one thread stops all threads of its process, and SIGCONT continues them all."""
    told = pipe()

    def child() -> int:
        second = Second()
        told.write(second.tid.to_bytes(4, "little"))
        signal.pause()
        return 0

    def life() -> None:
        pid = bare_child(child)
        tid = int.from_bytes(told.read(4), "little")
        tgkill(pid, tid, SIGSTOP)
        assert Deadline(SOON).until(lambda: states(pid) == {"T"})
        tgkill(pid, tid, SIGCONT)
        assert Deadline(SOON).until(lambda: "T" not in states(pid))
        assert process_state(pid) is not None

    fork(life).result()


@pytest.mark.usefixtures("room_for_signals")
@clause("pthread_sigqueue.value", "pthread_sigqueue(3)", "DESCRIPTION")
def test_a_value_is_sent_to_a_thread(fork):
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
def test_a_value_needs_a_signal(fork, signo):
    """pthread_sigqueue() refuses a number that no signal has."""

    def life() -> None:
        second = Second()
        with fails_with(EINVAL):
            pthread_sigqueue(second.number, signo, 0)

    fork(life).result()


@clause("pthread_sigqueue.eagain", "pthread_sigqueue(3)", "ERRORS", errno=EAGAIN)
def test_a_value_needs_room(fork):
    """pthread_sigqueue() fails when as many signals are queued as RLIMIT_SIGPENDING allows."""

    def life() -> None:
        second = blocking(SIGRTMIN)
        limit_pending(0)
        with fails_with(EAGAIN):
            pthread_sigqueue(second.number, SIGRTMIN, 1)
        assert second.pending() == set()

    fork(life).result()


@contextmanager
def descriptor(tid: int, flags: int = 0) -> Iterator[int]:
    """A pidfd, closed afterwards."""
    fd = pidfd_open(tid, flags)
    try:
        yield fd
    finally:
        os.close(fd)


@clause("pidfd_open.thread", "pidfd_open(2)", "PIDFD_THREAD", since="6.9")
def test_a_descriptor_can_stand_for_a_thread(fork):
    """With PIDFD_THREAD a thread can be opened that is not the first of its process, which cannot without."""

    def life() -> None:
        second = Second()
        with fails_with(EINVAL, ENOENT):
            pidfd_open(second.tid)
        with descriptor(second.tid, PIDFD_THREAD), descriptor(os.getpid(), PIDFD_THREAD):
            pass

    fork(life).result()


@clause("pidfd_open.thread-readable-at-the-end", "pidfd_open(2)", "PIDFD_THREAD", since="6.9")
def test_a_threads_descriptor_is_readable_once_it_has_ended(fork):
    """A descriptor of a thread can be read, says poll(2), once the thread has ended, though its process runs on."""

    def life() -> None:
        go, tids = Event(), list[int]()

        def run() -> None:
            tids.append(get_native_id())
            go.wait()

        thread = Thread(target=run)
        thread.start()
        assert Deadline(SOON).until(lambda: bool(tids))
        with descriptor(tids[0], PIDFD_THREAD) as fd:
            assert not select.select([fd], [], [], 0)[0]
            go.set()
            thread.join()
            assert select.select([fd], [], [], SOON)[0] == [fd]

    fork(life).result()


@clause("pidfd_send_signal.thread-by-its-descriptor", "pidfd_send_signal(2)", "DESCRIPTION", since="6.9")
def test_a_threads_descriptor_signals_the_thread(fork):
    """Without flags a descriptor of a thread signals that thread, and one of a process the process."""

    def life() -> None:
        second = blocking(SIGUSR1, SIGUSR2)
        with descriptor(second.tid, PIDFD_THREAD) as fd:
            pidfd_send_signal(fd, SIGUSR1)
        with descriptor(os.getpid()) as fd:
            pidfd_send_signal(fd, SIGUSR2)
        assert (second.pending(), set(sigpending())) == ({SIGUSR1, SIGUSR2}, {SIGUSR2})

    fork(life).result()


@clause("pidfd_send_signal.scope", "pidfd_send_signal(2)", "DESCRIPTION", since="6.9")
def test_the_scope_can_be_named(fork):
    """PIDFD_SIGNAL_THREAD signals the thread of any descriptor, PIDFD_SIGNAL_THREAD_GROUP the process of a first thread's."""

    def life() -> None:
        second = blocking(SIGUSR1, SIGUSR2)
        with descriptor(os.getpid()) as fd:
            pidfd_send_signal(fd, SIGUSR1, PIDFD_SIGNAL_THREAD)
        with descriptor(os.getpid(), PIDFD_THREAD) as fd:
            pidfd_send_signal(fd, SIGUSR2, PIDFD_SIGNAL_THREAD_GROUP)
        assert (set(sigpending()), second.pending()) == ({SIGUSR1, SIGUSR2}, {SIGUSR2})

    fork(life).result()


@clause("pidfd_send_signal.one-scope-einval", "pidfd_send_signal(2)", "ERRORS", errno=EINVAL, since="6.9")
def test_one_scope_is_named_at_most(fork):
    """Two scopes at once are refused."""

    def life() -> None:
        with descriptor(os.getpid()) as fd, fails_with(EINVAL):
            pidfd_send_signal(fd, 0, PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP)

    fork(life).result()
