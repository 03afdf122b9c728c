"""sem_wait(3): decrementing, with and without blocking."""

from __future__ import annotations

import signal
import time
from errno import EAGAIN, EINTR, EINVAL, ETIMEDOUT
from os import O_CLOEXEC, O_NONBLOCK
from select import select
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import SA_RESTART, Timespec, sem_timedwait, sem_trywait, sem_wait

LONG_AGO = Timespec(1, 0)


@clause("sem_wait.decrement", "sem_wait(3)", "DESCRIPTION")
def test_wait_decrements_a_positive_value(posix_sem, fork):
    """sem_wait() with a value above 0 decrements it and returns at once."""
    semaphore = posix_sem(2)
    for value in (1, 0):
        fork(sem_wait, semaphore.address).result()
        assert semaphore.value == value


@clause("sem_wait.decrement-block", "sem_wait(3)", "DESCRIPTION")
def test_wait_at_0_blocks_until_a_post(posix_sem, fork):
    """sem_wait() with a value of 0 blocks until a post, and then decrements the value."""
    semaphore = posix_sem(0)
    waiter = fork(sem_wait, semaphore.address)
    waiter.wait_blocked("futex")
    semaphore.post()
    waiter.result()
    assert semaphore.value == 0


@clause("sem_trywait.eagain", "sem_wait(3)", "ERRORS", errno=EAGAIN)
def test_trywait_at_0_fails(posix_sem):
    """sem_trywait() decrements a value above 0, and fails with EAGAIN at 0."""
    semaphore = posix_sem(1)
    sem_trywait(semaphore.address)
    with fails_with(EAGAIN):
        sem_trywait(semaphore.address)
    assert semaphore.value == 0


@clause("sem_wait.eintr", "sem_wait(3)", "ERRORS", errno=EINTR)
def test_handler_interrupts_a_blocked_wait(posix_sem, fork, signals):
    """A blocked sem_wait() fails with EINTR when a signal handler without SA_RESTART runs, and decrements nothing."""
    semaphore = posix_sem(0)

    def child() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            sem_wait(semaphore.address)

    waiter = fork(child)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    waiter.result()
    semaphore.post()
    assert semaphore.value == 1


@clause(
    "sem_wait.sa_restart-restarts",
    "signal(7)",
    "Interruption of system calls and library functions by signal handlers",
)
def test_wait_restarts_after_a_handler_with_sa_restart(posix_sem, fork, signals, pipe):
    """A blocked sem_wait() is restarted after a signal handler with SA_RESTART, until a post."""
    semaphore, wakeup = posix_sem(0), pipe(flags=O_NONBLOCK | O_CLOEXEC)

    def child() -> None:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(wakeup.write_fd)
        sem_wait(semaphore.address)

    waiter = fork(child)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], 5)[0], "the handler did not run"
    waiter.wait_blocked("futex")
    semaphore.post()
    waiter.result()
    assert semaphore.value == 0


@clause("sem_timedwait.etimedout", "sem_wait(3)", "ERRORS", errno=ETIMEDOUT)
def test_timedwait_times_out(posix_sem):
    """sem_timedwait() at 0 fails with ETIMEDOUT at its timeout, not
    earlier, at once if it has passed, and decrements nothing.
    """
    semaphore = posix_sem(0)
    with fails_with(ETIMEDOUT):
        sem_timedwait(semaphore.address, LONG_AGO)
    timeout = Timespec.ahead(0.05, time.CLOCK_REALTIME)
    with fails_with(ETIMEDOUT):
        sem_timedwait(semaphore.address, timeout)
    assert Timespec.ahead(0, time.CLOCK_REALTIME) >= timeout
    assert semaphore.value == 0
    semaphore.post()
    assert semaphore.try_wait()


@clause("sem_timedwait.post-in-time", "sem_wait(3)", "DESCRIPTION")
def test_post_before_the_timeout(posix_sem, fork):
    """sem_timedwait() returns when a post comes before the timeout."""
    semaphore = posix_sem(0)
    waiter = fork(sem_timedwait, semaphore.address, Timespec.ahead(600, time.CLOCK_REALTIME))
    waiter.wait_blocked("futex")
    semaphore.post()
    waiter.result()
    assert semaphore.value == 0


@pytest.mark.parametrize("nsec", [-1, 1_000_000_000])
@clause("sem_timedwait.einval-nsec", "sem_wait(3)", "ERRORS", errno=EINVAL)
def test_invalid_nanoseconds_fail(posix_sem, nsec):
    """A blocking sem_timedwait() fails with EINVAL for tv_nsec below 0 or above 999,999,999."""
    semaphore = posix_sem(0)
    with fails_with(EINVAL):
        sem_timedwait(semaphore.address, Timespec(2**31 - 1, nsec))
    assert semaphore.value == 0


@clause("sem_timedwait.available-never-times-out", "sem_wait(3)", "DESCRIPTION")
def test_timedwait_succeeds_after_the_timeout_if_available(posix_sem):
    """sem_timedwait() with a value above 0 succeeds after the timeout has passed."""
    semaphore = posix_sem(1)
    sem_timedwait(semaphore.address, LONG_AGO)
    assert semaphore.value == 0


@clause(
    "sem_timedwait.available-ignores-timeout",
    "sem_wait(3)",
    "DESCRIPTION",
    disputed="glibc checks the nanoseconds first, and fails with EINVAL also if the value is above 0",
)
def test_timeout_is_ignored_if_not_blocking(posix_sem):
    """sem_timedwait() with a value above 0 ignores an invalid timeout."""
    semaphore = posix_sem(1)
    try:
        sem_timedwait(semaphore.address, Timespec(1, 1_000_000_000))
    except OSError as error:
        if error.errno == EINVAL and semaphore.value == 1:
            disputed(manual="no check of the timeout if the call need not block", linux="fails with EINVAL")
        raise
    assert semaphore.value == 0
