"""fcntl(2), F_GETLK: the lock that conflicts with a request; nothing is locked."""

from __future__ import annotations

import os
from os import O_RDWR, SEEK_CUR, SEEK_END, SEEK_SET

import pytest

from pytest_ipc import clause
from pytest_ipc.kernel import F_GETLK, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK, RecordLock, fcntl_getlk, fcntl_setlk

READ, WRITE = F_RDLCK, F_WRLCK


@pytest.fixture
def getlk(file, fork):
    """Return the result of F_GETLK in another process: getlk(lock) -> RecordLock."""

    def call(lock: RecordLock) -> RecordLock:
        return fcntl_getlk(os.open(file, O_RDWR), F_GETLK, lock)

    return lambda lock: fork(call, lock).result()


@pytest.mark.parametrize(
    "lock",
    [
        RecordLock(WRITE, 20, 10, SEEK_SET, 77),
        RecordLock(READ, -5, -2, SEEK_END, 77),
        RecordLock(WRITE, 30, 0, SEEK_CUR, 77),
    ],
    ids=["set", "end", "cur"],
)
@clause("fcntl.getlk-unlck-leaves-rest", "fcntl_locking(2)", "F_GETLK")
def test_without_conflict_only_the_type_changes(file, opened, getlk, seen_by_others, lock):
    """F_GETLK sets l_type to F_UNLCK if the lock can be placed, keeps the other members, and places nothing."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(WRITE, 0, 20))
    assert getlk(lock) == RecordLock(F_UNLCK, lock.start, lock.len, lock.whence, lock.pid)
    assert seen_by_others(19, 5) == "w...."


@pytest.mark.parametrize("type", [READ, WRITE], ids=["read", "write"])
@clause("fcntl.getlk-reports-holder", "fcntl_locking(2)", "F_GETLK")
def test_conflicting_lock_is_returned(file, opened, getlk, type):
    """F_GETLK returns type, range (from SEEK_SET) and PID of a conflicting lock."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(type, -10, 5, SEEK_END))
    assert getlk(RecordLock(WRITE, 94, 50)) == RecordLock(type, 90, 5, SEEK_SET, os.getpid())
    assert getlk(RecordLock(WRITE, -20, 0, SEEK_END)) == RecordLock(type, 90, 5, SEEK_SET, os.getpid())
    assert getlk(RecordLock(READ, 94, 50)).type == (F_UNLCK if type == READ else WRITE)


@clause("fcntl.getlk-one-of-several", "fcntl_locking(2)", "F_GETLK")
def test_one_of_several_conflicting_locks_is_returned(file, opened, getlk):
    """F_GETLK returns one of several conflicting locks, with l_len 0 for one to the end of the file."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 10, 5))
    fcntl_setlk(fd, F_SETLK, RecordLock(READ, 50))
    first = RecordLock(WRITE, 10, 5, SEEK_SET, os.getpid())
    second = RecordLock(READ, 50, 0, SEEK_SET, os.getpid())
    assert getlk(RecordLock(WRITE)) in (first, second)
    assert getlk(RecordLock(WRITE, 15)) == second


@clause("fcntl.getlk-own-lock-unlck", "fcntl_locking(2)", "F_GETLK")
def test_own_locks_do_not_conflict(file, opened):
    """F_GETLK returns F_UNLCK if only locks of the calling process overlap, through any of its descriptors."""
    first, second = opened(file).fd, opened(file).fd
    fcntl_setlk(first, F_SETLK, RecordLock(WRITE, 10, 5))
    for fd in (first, second):
        assert fcntl_getlk(fd, F_GETLK, RecordLock(WRITE)).type == F_UNLCK
