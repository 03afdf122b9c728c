"""Semaphores with sysv_ipc, which has its own C: ours found and used by it, its by us, and the same accounts of both.

sysv_ipc knows sets of one semaphore only.
"""

from __future__ import annotations

import os

import pytest

from pytest_ipc import SemaphoreSet, unused_key

sysv_ipc = pytest.importorskip("sysv_ipc", reason="sysv_ipc is not installed")


@pytest.fixture
def theirs():
    """Yield a semaphore that sysv_ipc has made."""
    semaphore = sysv_ipc.Semaphore(unused_key(), sysv_ipc.IPC_CREX, mode=0o640, initial_value=2)
    yield semaphore
    semaphore.remove()


def test_other_binding_finds_our_object():
    with SemaphoreSet.create(values=[3], mode=0o640) as ours:
        found = sysv_ipc.Semaphore(ours.key)
        perm = ours.stat().perm
        assert (found.id, found.key, found.value) == (ours.id, ours.key, 3)
        assert (found.uid, found.gid, found.cuid, found.cgid) == (perm.uid, perm.gid, perm.cuid, perm.cgid)
        assert (found.mode & 0o777, found.last_pid, found.o_time) == (0o640, os.getpid(), 0)
        found.acquire()
        assert (ours.value(), ours.last_pid(), ours.stat().otime) == (2, os.getpid(), found.o_time)
        found.release(3)
        ours.acquire()
        assert found.value == ours.value() == 4


def test_object_of_the_other_binding_is_found(theirs):
    with SemaphoreSet.create(key=theirs.key, flags=0) as ours:
        assert (ours.id, ours.count, ours.values) == (theirs.id, 1, [2])
        perm = ours.stat().perm
        assert (perm.key, perm.mode, perm.cuid) == (theirs.key, 0o640, theirs.cuid)
        ours.set_value(9)
        ours.set_status(mode=0o600)
        assert (theirs.value, theirs.mode & 0o777) == (9, 0o600)
        theirs.value = 4
        assert ours.values == [4]
    assert theirs.value == 4  # what was found is not removed


def test_each_waits_for_the_other(theirs, fork):
    with SemaphoreSet.create(key=theirs.key, flags=0) as ours:
        theirs.value = 0
        taker = fork(theirs.acquire)
        taker.wait_blocked("semop")
        assert (ours.waiters(), theirs.waiting_for_nonzero) == (1, 1)
        ours.release()
        taker.result()
        taker = fork(ours.acquire)
        taker.wait_blocked("semop")
        assert (ours.waiters(), theirs.waiting_for_nonzero) == (1, 1)
        theirs.release()
        taker.result()
        assert (ours.value(), theirs.last_pid) == (0, taker.pid)


def test_each_waits_for_the_others_zero(theirs, fork):
    with SemaphoreSet.create(key=theirs.key, flags=0) as ours:
        theirs.value = 1
        first, second = fork(theirs.Z), fork(ours.wait_for_zero)
        for waiter in (first, second):
            waiter.wait_blocked("semop")
        assert (ours.zero_waiters(), theirs.waiting_for_zero) == (2, 2)
        ours.acquire()
        first.result()
        second.result()


@pytest.mark.parametrize("maker", ["ours", "theirs"])
def test_time_limits_and_the_undo_agree(fork, maker):
    with SemaphoreSet.create(values=[1]) as ours:
        other = sysv_ipc.Semaphore(ours.key)

        def take_and_leave() -> None:
            if maker == "ours":
                ours.acquire(undo=True)
            else:
                other.undo = True
                other.acquire()
            print(ours.value(), flush=True)

        child = fork(take_and_leave)
        child.result()
        assert (child.output, ours.value(), other.value) == ("0\n", 1, 1)
        ours.acquire()
        with pytest.raises(TimeoutError):
            ours.acquire(timeout=0.01)
        other.block = False  # with a time limit sysv_ipc waits for ever where it was built without semtimedop(2)
        with pytest.raises(sysv_ipc.BusyError):
            other.acquire()
        assert ours.value() == 0


def test_removal_by_the_other_binding_is_seen():
    with SemaphoreSet.create() as ours:
        sysv_ipc.Semaphore(ours.key).remove()
        assert not ours.exists()
        assert not ours.remove()
        with pytest.raises(sysv_ipc.ExistentialError):
            sysv_ipc.Semaphore(ours.key)
