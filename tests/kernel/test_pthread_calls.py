"""Process-shared condition variables, read-write locks and barriers: a round trip of each."""

from __future__ import annotations

import time
from errno import EBUSY, EINVAL, ETIMEDOUT

import pytest

from pytest_ipc import fails_with
from pytest_ipc.kernel import Timespec, mutex_init, mutex_lock, mutex_unlock
from pytest_ipc.kernel.barrier import (
    BARRIER_BYTES,
    PTHREAD_BARRIER_SERIAL_THREAD,
    barrier_destroy,
    barrier_init,
    barrier_wait,
)
from pytest_ipc.kernel.cond import (
    COND_BYTES,
    cond_broadcast,
    cond_destroy,
    cond_init,
    cond_signal,
    cond_timedwait,
    cond_wait,
)
from pytest_ipc.kernel.rwlock import (
    RWLOCK_BYTES,
    rwlock_destroy,
    rwlock_init,
    rwlock_rdlock,
    rwlock_timedrdlock,
    rwlock_timedwrlock,
    rwlock_tryrdlock,
    rwlock_trywrlock,
    rwlock_unlock,
    rwlock_wrlock,
)


@pytest.fixture
def room(mapped_file) -> int:
    """Return the address of memory that children share."""
    address: int = mapped_file().address
    return address


def soon() -> Timespec:
    return Timespec.ahead(0.001, time.CLOCK_REALTIME)


@pytest.mark.parametrize("wake", [cond_signal, cond_broadcast])
def test_cond_signal_wakes_a_waiter(room, fork, wake):
    mutex = room + COND_BYTES
    cond_init(room)
    mutex_init(mutex)

    def life() -> str:
        mutex_lock(mutex)
        cond_wait(room, mutex)
        mutex_unlock(mutex)
        return "woken"

    child = fork(life)
    child.wait_blocked("futex")
    mutex_lock(mutex)
    wake(room)
    mutex_unlock(mutex)
    assert child.result() == "woken"
    cond_destroy(room)


def test_cond_timedwait_times_out_with_the_mutex_locked(room):
    mutex = room + COND_BYTES
    cond_init(room)
    mutex_init(mutex)
    mutex_lock(mutex)
    with fails_with(ETIMEDOUT):
        cond_timedwait(room, mutex, soon())
    mutex_unlock(mutex)


def test_readers_share_a_rwlock_and_a_writer_excludes_them(room, fork):
    rwlock_init(room)
    rwlock_rdlock(room)

    def reader() -> None:
        rwlock_tryrdlock(room)
        rwlock_timedrdlock(room, soon())
        for _ in range(2):
            rwlock_unlock(room)
        with fails_with(EBUSY):
            rwlock_trywrlock(room)
        with fails_with(ETIMEDOUT):
            rwlock_timedwrlock(room, soon())

    fork(reader).result()
    rwlock_unlock(room)
    rwlock_wrlock(room)

    def other() -> None:
        with fails_with(EBUSY):
            rwlock_tryrdlock(room)
        with fails_with(ETIMEDOUT):
            rwlock_timedrdlock(room, soon())

    fork(other).result()
    rwlock_unlock(room)
    rwlock_destroy(room)


def test_barrier_releases_all_and_returns_serial_thread_in_one(room, fork):
    barrier_init(room, 2)
    child = fork(barrier_wait, room)
    child.wait_blocked("futex")
    assert sorted((barrier_wait(room), child.result())) == [PTHREAD_BARRIER_SERIAL_THREAD, 0]
    barrier_destroy(room)


def test_returned_error_is_raised(room):
    with fails_with(EINVAL):
        barrier_init(room, 0)
    assert min(COND_BYTES, RWLOCK_BYTES, BARRIER_BYTES) >= 56


@pytest.mark.parametrize("make", [cond_init, rwlock_init, lambda address: barrier_init(address, 1)])
def test_address_must_be_an_integer(make):
    with pytest.raises(TypeError):
        make("here")
