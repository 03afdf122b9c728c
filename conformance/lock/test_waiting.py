"""fcntl(2), F_SETLKW: blocking for a lock, its end, and deadlock detection."""

from __future__ import annotations

import os
import signal
from errno import EDEADLK, EINTR
from select import select
from signal import SIGKILL, SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK, SA_RESTART, RecordLock, fcntl_setlk

from .holders import take

READ, WRITE, UNLOCK = F_RDLCK, F_WRLCK, F_UNLCK


@clause("fcntl.setlkw-waits", "fcntl_locking(2)", "F_SETLKW")
def test_setlkw_blocks_until_the_range_is_free(file, opened, fork):
    """F_SETLKW blocks while another process locks any byte of the range, and acquires the lock when all are free."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 0, 10))
    waiter = fork(take, file, RecordLock(READ, 5, 10))
    waiter.wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK, 0, 9))
    waiter.wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert waiter.result() >= 0


@clause("fcntl.setlkw-granted-by-conversion", "fcntl_locking(2)", "F_SETLKW")
def test_conversion_to_a_read_lock_admits_readers(file, opened, fork):
    """A blocked F_SETLKW for a read lock succeeds when the conflicting write lock is converted to a read lock."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 0, 10))
    waiter = fork(take, file, RecordLock(READ, 5, 10))
    waiter.wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(READ, 0, 10))
    assert waiter.result() >= 0


@clause("fcntl.setlkw-eintr", "fcntl(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_setlkw(file, opened, fork, signals, seen_by_others):
    """A blocked F_SETLKW fails with EINTR when a signal handler without SA_RESTART runs, and locks nothing."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE))

    def child() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        waiting_fd = os.open(file, os.O_RDWR)
        with fails_with(EINTR):
            fcntl_setlk(waiting_fd, F_SETLKW, RecordLock(WRITE))
        signal.pause()

    waiter = fork(child)
    waiter.wait_blocked("fcntl")
    waiter.signal(SIGUSR1)
    waiter.wait_blocked("pause")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert seen_by_others(0, 2) == ".."


@clause("fcntl.setlkw-sa_restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_setlkw_restarts_after_a_handler_with_sa_restart(file, opened, fork, signals, pipe):
    """A blocked F_SETLKW is restarted after a signal handler with SA_RESTART."""
    fd, wakeup = opened(file).fd, pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE))

    def child() -> int:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(wakeup.write_fd)
        return take(file, RecordLock(WRITE))

    waiter = fork(child)
    waiter.wait_blocked("fcntl")
    waiter.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], 5)[0], "the handler did not run"
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert waiter.result() >= 0


@pytest.mark.parametrize("how", ["exit", "kill", "close"])
@clause("fcntl.exit-kill-releases", "fcntl_locking(2)", "Advisory record locking")
def test_termination_releases_the_locks(file, fork, pipe, how):
    """Record locks are released when the process exits, is killed or
    closes the file, and a blocked F_SETLKW then succeeds.
    """
    ready, hold = pipe(), pipe()

    def holder() -> None:
        fd = take(file, RecordLock(WRITE))
        ready.write(b"x")
        hold.read(1, timeout=None)
        if how == "close":
            os.close(fd)
            ready.write(b"x")
            signal.pause()

    child = fork(holder)
    ready.read(1)
    waiter = fork(take, file, RecordLock(WRITE))
    waiter.wait_blocked("fcntl")
    if how == "kill":
        child.signal(SIGKILL)
    else:
        hold.write(b"x")
    assert waiter.result() >= 0


@clause("fcntl.edeadlk-two", "fcntl_locking(2)", "Advisory record locking", errno=EDEADLK)
def test_deadlock_of_two_is_detected(circle):
    """F_SETLKW fails with EDEADLK if it would complete a deadlock of two processes."""
    last, (other,) = circle(2)
    with fails_with(EDEADLK):
        last.result()
    assert other.result() is None


@clause("fcntl.edeadlk-three", "fcntl_locking(2)", "Advisory record locking", errno=EDEADLK)
def test_deadlock_of_three_is_detected(circle):
    """F_SETLKW fails with EDEADLK if it would complete a deadlock of three processes."""
    last, others = circle(3)
    with fails_with(EDEADLK):
        last.result()
    assert [other.result() for other in others] == [None, None]


@clause("fcntl.edeadlk-depth-limit", "fcntl_locking(2)", "Deadlock detection")
def test_deadlock_of_many_is_not_detected(circle):
    """F_SETLKW does not detect a deadlock of 14 processes, which exceeds the
    kernel's search depth of 10: all block until one terminates.
    """
    last, others = circle(14)
    last.wait_blocked("fcntl")
    others[0].wait_blocked("fcntl")
    last.close()
    assert [other.result() for other in others] == [None] * 13


@clause("fcntl.edeadlk-false-alarm", "fcntl_locking(2)", "Advisory record locking")
def test_chain_of_waiters_is_not_a_deadlock(file, opened, fork):
    """F_SETLKW blocks in a chain of waiting processes without EDEADLK, and each succeeds after the previous one."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 0, 1))

    def child(byte: int) -> None:
        own = take(file, RecordLock(WRITE, byte, 1))
        fcntl_setlk(own, F_SETLKW, RecordLock(WRITE, byte - 1, 1))

    waiters = []
    for byte in (1, 2, 3):
        waiters.append(fork(child, byte))
        waiters[-1].wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert [waiter.result() for waiter in waiters] == [None] * 3
