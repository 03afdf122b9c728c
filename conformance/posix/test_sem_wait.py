"""sem_wait(3): decrementing, with and without waiting for it."""

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
def test_a_value_above_0_is_decremented(posix_sem, fork):
    """With a value above 0 sem_wait decrements it and returns at once."""
    semaphore = posix_sem(2)
    for left in (1, 0):
        fork(sem_wait, semaphore.address).result()
        assert semaphore.value == left


@clause("sem_wait.decrement-block", "sem_wait(3)", "DESCRIPTION")
def test_at_0_it_waits_for_a_post(posix_sem, fork):
    """With a value of 0 sem_wait blocks until somebody posts, and then has taken what was posted."""
    semaphore = posix_sem(0)
    waiter = fork(sem_wait, semaphore.address)
    waiter.wait_blocked("futex")
    semaphore.post()
    waiter.result()
    assert semaphore.value == 0


@clause("sem_trywait.eagain", "sem_wait(3)", "ERRORS", errno=EAGAIN)
def test_trying_at_0_fails(posix_sem):
    """sem_trywait decrements a value above 0, and fails at 0 instead of waiting."""
    semaphore = posix_sem(1)
    sem_trywait(semaphore.address)
    with fails_with(EAGAIN):
        sem_trywait(semaphore.address)
    assert semaphore.value == 0


@clause("sem_wait.eintr", "sem_wait(3)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_the_wait(posix_sem, fork, signals):
    """A wait fails with EINTR when a handler without SA_RESTART has run, and has taken nothing."""
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
def test_a_wait_goes_on_after_a_handler_with_restart(posix_sem, fork, signals, pipe):
    """A wait goes on when a handler with SA_RESTART has run, until somebody posts."""
    semaphore, told = posix_sem(0), pipe(flags=O_NONBLOCK | O_CLOEXEC)

    def child() -> None:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(told.write_fd)
        sem_wait(semaphore.address)

    waiter = fork(child)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    assert select([told.read_fd], [], [], 5)[0], "the handler did not run"
    waiter.wait_blocked("futex")
    semaphore.post()
    waiter.result()
    assert semaphore.value == 0


@clause("sem_timedwait.etimedout", "sem_wait(3)", "ERRORS", errno=ETIMEDOUT)
def test_the_time_runs_out(posix_sem):
    """At 0 sem_timedwait fails when its moment has come, not before, and at once when that has passed; the value stays."""
    semaphore = posix_sem(0)
    with fails_with(ETIMEDOUT):
        sem_timedwait(semaphore.address, LONG_AGO)
    moment = Timespec.ahead(0.05, time.CLOCK_REALTIME)
    with fails_with(ETIMEDOUT):
        sem_timedwait(semaphore.address, moment)
    assert Timespec.ahead(0, time.CLOCK_REALTIME) >= moment
    assert semaphore.value == 0
    semaphore.post()
    assert semaphore.try_wait()


@clause("sem_timedwait.post-in-time", "sem_wait(3)", "DESCRIPTION")
def test_a_post_before_the_time_is_taken(posix_sem, fork):
    """A post that comes before the moment lets sem_timedwait take the semaphore."""
    semaphore = posix_sem(0)
    waiter = fork(sem_timedwait, semaphore.address, Timespec.ahead(600, time.CLOCK_REALTIME))
    waiter.wait_blocked("futex")
    semaphore.post()
    waiter.result()
    assert semaphore.value == 0


@pytest.mark.parametrize("nsec", [-1, 1_000_000_000])
@clause("sem_timedwait.einval-nsec", "sem_wait(3)", "ERRORS", errno=EINVAL)
def test_nanoseconds_that_are_none_are_refused(posix_sem, nsec):
    """Where it would have to wait, sem_timedwait refuses nanoseconds below 0 or of a second and more."""
    semaphore = posix_sem(0)
    with fails_with(EINVAL):
        sem_timedwait(semaphore.address, Timespec(2**31 - 1, nsec))
    assert semaphore.value == 0


@clause("sem_timedwait.available-never-times-out", "sem_wait(3)", "DESCRIPTION")
def test_what_can_be_taken_is_taken_at_any_time(posix_sem):
    """With a value above 0 sem_timedwait takes it, though its moment has long passed."""
    semaphore = posix_sem(1)
    sem_timedwait(semaphore.address, LONG_AGO)
    assert semaphore.value == 0


@clause(
    "sem_timedwait.available-ignores-timeout",
    "sem_wait(3)",
    "DESCRIPTION",
    disputed="glibc looks at the nanoseconds first, and refuses with EINVAL what it could have taken",
)
def test_a_time_that_is_not_needed_is_not_looked_at(posix_sem):
    """With a value above 0 sem_timedwait does not check its time."""
    semaphore = posix_sem(1)
    try:
        sem_timedwait(semaphore.address, Timespec(1, 1_000_000_000))
    except OSError as error:
        if error.errno == EINVAL and semaphore.value == 1:
            disputed(manual="that the time is not checked when there is no need to wait", linux="gives EINVAL")
        raise
    assert semaphore.value == 0
