"""pthread_mutexattr_setpshared(3), pthread_mutexattr_setrobust(3): mutexes in shared memory, and what becomes of the dead's."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EBUSY, EDEADLK, ENOTRECOVERABLE, EOWNERDEAD, EPERM, ETIMEDOUT
from signal import SIGKILL

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import (
    MUTEX_BYTES,
    PTHREAD_MUTEX_ERRORCHECK,
    Timespec,
    mutex_consistent,
    mutex_init,
    mutex_lock,
    mutex_timedlock,
    mutex_trylock,
    mutex_unlock,
    pause,
)


def holding(lock: Callable[[int], object], address: int) -> Callable[[], None]:
    """The life of a child that takes a lock and keeps it."""

    def life() -> None:
        lock(address)
        pause()

    return life


@pytest.fixture
def mutex(futex) -> int:
    """Room for a mutex in memory shared with children."""
    word = futex()
    address: int = word.address
    assert address % MUTEX_BYTES == 0
    return address


@clause("mutex.shared-excludes", "pthread_mutexattr_setpshared(3)", "DESCRIPTION")
def test_processes_exclude_one_another(mutex, fork):
    """A process-shared mutex in shared memory that one process has locked no other can lock, until it is unlocked."""
    mutex_init(mutex)
    mutex_lock(mutex)

    def life() -> None:
        with fails_with(EBUSY):
            mutex_trylock(mutex)
        mutex_lock(mutex)

    waiter = fork(life)
    waiter.wait_blocked("futex")
    mutex_unlock(mutex)
    waiter.result()
    with fails_with(EBUSY):
        mutex_trylock(mutex)


@clause("mutex.errorcheck", "pthread_mutex_lock(3)", "ERRORS", errno=EDEADLK)
def test_an_error_checking_mutex_knows_its_owner(mutex, fork):
    """An error-checking mutex is not locked twice by its owner, and not unlocked by anybody else."""
    mutex_init(mutex, kind=PTHREAD_MUTEX_ERRORCHECK)

    def owner() -> None:
        mutex_lock(mutex)
        with fails_with(EDEADLK):
            mutex_lock(mutex)
        with Child.start(other) as child:
            child.result()
        mutex_unlock(mutex)

    def other() -> None:
        with fails_with(EPERM):
            mutex_unlock(mutex)

    fork(owner).result()


@clause("mutex.timedlock-etimedout", "pthread_mutex_timedlock(3p)", "ERRORS", errno=ETIMEDOUT)
def test_a_mutex_is_waited_for_until_a_moment(mutex, fork):
    """Waiting for a locked mutex ends at the given time."""
    mutex_init(mutex)
    mutex_lock(mutex)

    def life() -> None:
        with fails_with(ETIMEDOUT):
            mutex_timedlock(mutex, Timespec(1))

    fork(life).result()


@clause("fork.mutex-state-copied", "pthread_mutexattr_setrobust(3)", "DESCRIPTION", errno=EOWNERDEAD)
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_the_next_owner_learns_of_the_death(mutex, fork, end):
    """Who locks a robust mutex whose owner has died has it, is told EOWNERDEAD, and can make it consistent; then it is as before."""
    mutex_init(mutex, robust=True)

    def die() -> None:
        mutex_lock(mutex)
        if end == "kill":
            os.kill(os.getpid(), SIGKILL)
        os._exit(0)

    def life() -> None:
        with fails_with(EOWNERDEAD):
            mutex_lock(mutex)
        mutex_consistent(mutex)
        mutex_unlock(mutex)
        mutex_lock(mutex)
        mutex_unlock(mutex)

    fork(die).wait()
    fork(life).result()


@clause("mutex.not-recoverable", "pthread_mutexattr_setrobust(3)", "DESCRIPTION", errno=ENOTRECOVERABLE)
def test_a_mutex_left_inconsistent_is_lost(mutex, fork):
    """A robust mutex that is unlocked after its owner's death without being made consistent can be locked by nobody any more."""
    mutex_init(mutex, robust=True)
    fork(mutex_lock, mutex).wait()

    def life() -> None:
        with fails_with(EOWNERDEAD):
            mutex_lock(mutex)
        mutex_unlock(mutex)
        with fails_with(ENOTRECOVERABLE):
            mutex_lock(mutex)

    fork(life).result()


@clause("mutex.robust-wakes-a-waiter", "pthread_mutexattr_setrobust(3)", "DESCRIPTION", errno=EOWNERDEAD)
def test_the_owners_death_wakes_who_waits(mutex, fork):
    """A process that waits for a robust mutex gets it, with EOWNERDEAD, when the owner is killed."""
    mutex_init(mutex, robust=True)
    owner = fork(holding(mutex_lock, mutex))
    owner.wait_blocked("pause")

    def life() -> None:
        with fails_with(EOWNERDEAD):
            mutex_lock(mutex)

    waiter = fork(life)
    waiter.wait_blocked("futex")
    owner.signal(SIGKILL)
    waiter.result()
