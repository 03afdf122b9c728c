"""fcntl(2), F_GETLK: who would keep a lock from being placed. Nothing is locked by asking."""

from __future__ import annotations

import os
from os import O_RDWR, SEEK_CUR, SEEK_END, SEEK_SET

import pytest

from pytest_ipc import clause
from pytest_ipc.kernel import F_GETLK, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK, RecordLock, fcntl_getlk, fcntl_setlk

READ, WRITE = F_RDLCK, F_WRLCK


@pytest.fixture
def answer(file, fork):
    """What F_GETLK gives another process: answer(lock) -> RecordLock."""

    def ask(lock: RecordLock) -> RecordLock:
        return fcntl_getlk(os.open(file, O_RDWR), F_GETLK, lock)

    return lambda lock: fork(ask, lock).result()


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
def test_where_nothing_is_in_the_way_only_the_type_changes(file, opened, answer, seen_by_others, lock):
    """For a lock that could be placed F_GETLK sets l_type to F_UNLCK, leaves the other members as they were, and places nothing."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(WRITE, 0, 20))
    assert answer(lock) == RecordLock(F_UNLCK, lock.start, lock.len, lock.whence, lock.pid)
    assert seen_by_others(19, 5) == "w...."


@pytest.mark.parametrize("type", [READ, WRITE], ids=["read", "write"])
@clause("fcntl.getlk-reports-holder", "fcntl_locking(2)", "F_GETLK")
def test_who_is_in_the_way_is_told(file, opened, answer, type):
    """For a lock that could not be placed F_GETLK gives the one in the way: its type, its range from the start, its process."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(type, -10, 5, SEEK_END))
    assert answer(RecordLock(WRITE, 94, 50)) == RecordLock(type, 90, 5, SEEK_SET, os.getpid())
    assert answer(RecordLock(WRITE, -20, 0, SEEK_END)) == RecordLock(type, 90, 5, SEEK_SET, os.getpid())
    assert answer(RecordLock(READ, 94, 50)).type == (F_UNLCK if type == READ else WRITE)


@clause("fcntl.getlk-one-of-several", "fcntl_locking(2)", "F_GETLK")
def test_one_of_several_in_the_way_is_told(file, opened, answer):
    """When several locks are in the way F_GETLK gives one of them, and one to the end of the file with length 0."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 10, 5))
    fcntl_setlk(fd, F_SETLK, RecordLock(READ, 50))
    first = RecordLock(WRITE, 10, 5, SEEK_SET, os.getpid())
    second = RecordLock(READ, 50, 0, SEEK_SET, os.getpid())
    assert answer(RecordLock(WRITE)) in (first, second)
    assert answer(RecordLock(WRITE, 15)) == second


@clause("fcntl.getlk-own-lock-unlck", "fcntl_locking(2)", "F_GETLK")
def test_ones_own_locks_are_not_in_the_way(file, opened):
    """A process's own locks never keep it from a lock: asked by any of its descriptors of the file, F_GETLK gives F_UNLCK."""
    first, second = opened(file).fd, opened(file).fd
    fcntl_setlk(first, F_SETLK, RecordLock(WRITE, 10, 5))
    for fd in (first, second):
        assert fcntl_getlk(fd, F_GETLK, RecordLock(WRITE)).type == F_UNLCK
