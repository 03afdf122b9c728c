"""pthread_mutexattr_setpshared(3), pthread_mutexattr_setrobust(3): process-shared and robust mutexes."""

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
    """Return the function of a child that takes a lock and keeps it."""

    def life() -> None:
        lock(address)
        pause()

    return life


@pytest.fixture
def mutex(futex) -> int:
    """Return the address of memory for a mutex, shared with children."""
    word = futex()
    address: int = word.address
    assert address % MUTEX_BYTES == 0
    return address


@clause("mutex.shared-excludes", "pthread_mutexattr_setpshared(3)", "DESCRIPTION")
def test_shared_mutex_excludes_other_processes(mutex, fork):
    """A process-shared mutex that is locked by one process cannot be locked by another until it is unlocked."""
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
def test_errorcheck_mutex_checks_owner(mutex, fork):
    """An error-checking mutex fails with EDEADLK if its owner locks it again, and with EPERM if another process
    unlocks it.
    """
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
def test_timedlock_fails_after_timeout(mutex, fork):
    """pthread_mutex_timedlock() fails with ETIMEDOUT if the mutex is still locked at the given absolute time."""
    mutex_init(mutex)
    mutex_lock(mutex)

    def life() -> None:
        with fails_with(ETIMEDOUT):
            mutex_timedlock(mutex, Timespec(1))

    fork(life).result()


@clause("fork.mutex-state-copied", "pthread_mutexattr_setrobust(3)", "DESCRIPTION", errno=EOWNERDEAD)
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_lock_after_owner_death_is_eownerdead(mutex, fork, end):
    """pthread_mutex_lock() of a robust mutex whose owner died locks it and fails with EOWNERDEAD;
    pthread_mutex_consistent() makes it usable again.
    """
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
def test_inconsistent_mutex_is_not_recoverable(mutex, fork):
    """pthread_mutex_lock() fails with ENOTRECOVERABLE after a robust mutex whose owner died is unlocked without
    pthread_mutex_consistent().
    """
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
def test_owner_death_wakes_waiter(mutex, fork):
    """A waiting pthread_mutex_lock() of a robust mutex fails with EOWNERDEAD, with the mutex locked, when the owner
    is killed.
    """
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
