"""fcntl(2), F_SETLKW: waiting for a lock, what ends it, and the deadlocks that the kernel finds."""

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
def test_it_waits_until_the_range_is_free(file, opened, fork):
    """F_SETLKW waits while another process holds a lock of any of the bytes in its way, and has its own when all are free."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 0, 10))
    waiter = fork(take, file, RecordLock(READ, 5, 10))
    waiter.wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK, 0, 9))
    waiter.wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert waiter.result() >= 0


@clause("fcntl.setlkw-granted-by-conversion", "fcntl_locking(2)", "F_SETLKW")
def test_a_reader_goes_on_when_the_writer_becomes_one(file, opened, fork):
    """Who waits for a read lock has it when the write lock in its way is converted to a read lock."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 0, 10))
    waiter = fork(take, file, RecordLock(READ, 5, 10))
    waiter.wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(READ, 0, 10))
    assert waiter.result() >= 0


@clause("fcntl.setlkw-eintr", "fcntl(2)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_the_wait(file, opened, fork, signals, seen_by_others):
    """F_SETLKW fails with EINTR when a handler without SA_RESTART has run, and has locked nothing."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE))

    def child() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        mine = os.open(file, os.O_RDWR)
        with fails_with(EINTR):
            fcntl_setlk(mine, F_SETLKW, RecordLock(WRITE))
        signal.pause()

    waiter = fork(child)
    waiter.wait_blocked("fcntl")
    waiter.signal(SIGUSR1)
    waiter.wait_blocked("pause")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert seen_by_others(0, 2) == ".."


@clause("fcntl.setlkw-sa_restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_the_wait_goes_on_after_a_handler_with_restart(file, opened, fork, signals, pipe):
    """F_SETLKW goes on waiting when a handler with SA_RESTART has run."""
    fd, told = opened(file).fd, pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE))

    def child() -> int:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(told.write_fd)
        return take(file, RecordLock(WRITE))

    waiter = fork(child)
    waiter.wait_blocked("fcntl")
    waiter.signal(SIGUSR1)
    assert select([told.read_fd], [], [], 5)[0], "the handler did not run"
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert waiter.result() >= 0


@pytest.mark.parametrize("how", ["exit", "kill", "close"])
@clause("fcntl.exit-kill-releases", "fcntl_locking(2)", "Advisory record locking")
def test_the_end_of_a_process_releases_its_locks(file, fork, pipe, how):
    """A process's locks are released when it ends, by itself or by SIGKILL, or closes the file; who waited for them goes on."""
    ready, hold = pipe(), pipe()

    def holder() -> None:
        fd = take(file, RecordLock(WRITE))
        ready.write(b"x")
        hold.read(1)
        if how == "close":
            os.close(fd)
            ready.write(b"x")
            signal.pause()

    holding = fork(holder)
    ready.read(1)
    waiter = fork(take, file, RecordLock(WRITE))
    waiter.wait_blocked("fcntl")
    if how == "kill":
        holding.signal(SIGKILL)
    else:
        hold.write(b"x")
    assert waiter.result() >= 0


@clause("fcntl.edeadlk-two", "fcntl_locking(2)", "Advisory record locking", errno=EDEADLK)
def test_a_deadlock_of_two_is_found(circle):
    """When two processes would wait for each other's lock for ever, the one that asks last gets EDEADLK; it can let the other go."""
    last, (other,) = circle(2)
    with fails_with(EDEADLK):
        last.result()
    assert other.result() is None


@clause("fcntl.edeadlk-three", "fcntl_locking(2)", "Advisory record locking", errno=EDEADLK)
def test_a_deadlock_of_three_is_found(circle):
    """A deadlock of three processes, each of which waits for the next, is found when the circle is closed."""
    last, others = circle(3)
    with fails_with(EDEADLK):
        last.result()
    assert [other.result() for other in others] == [None, None]


@clause("fcntl.edeadlk-depth-limit", "fcntl_locking(2)", "Deadlock detection")
def test_a_deadlock_of_many_is_not_found(circle):
    """The kernel follows ten steps: a circle of far more processes is not found, and all of them wait until one ends."""
    last, others = circle(14)
    last.wait_blocked("fcntl")
    others[0].wait_blocked("fcntl")
    last.end()
    assert [other.result() for other in others] == [None] * 13


@clause("fcntl.edeadlk-false-alarm", "fcntl_locking(2)", "Advisory record locking")
def test_a_line_of_waiters_is_no_deadlock(file, opened, fork):
    """Processes that wait for each other in a line wait; they get their locks one after the other when the first lets go."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 0, 1))

    def life(byte: int) -> None:
        mine = take(file, RecordLock(WRITE, byte, 1))
        fcntl_setlk(mine, F_SETLKW, RecordLock(WRITE, byte - 1, 1))

    waiters = []
    for byte in (1, 2, 3):
        waiters.append(fork(life, byte))
        waiters[-1].wait_blocked("fcntl")
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK))
    assert [waiter.result() for waiter in waiters] == [None] * 3
