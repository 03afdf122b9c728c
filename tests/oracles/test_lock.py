"""File locks beside the standard library's fcntl, and /proc/locks beside lslocks: ours seen by them, theirs by us."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable

import pytest

from pytest_ipc import FileLock
from pytest_ipc.kernel import (
    F_GETLK,
    F_OFD_GETLK,
    F_RDLCK,
    F_SETLK,
    F_WRLCK,
    RecordLock,
    fcntl_getlk,
    fcntl_setlk,
    locks_of,
    proc_locks,
)

LAYOUT = "hhqqi4x"  # struct flock of a 64-bit machine

pytestmark = pytest.mark.skipif(struct.calcsize("P") != 8, reason="the layout is that of a 64-bit machine")


def refused(take: Callable[..., object], path: os.PathLike[str], *args: int) -> bool:
    """Return whether the standard library's call fails on a new opening of the file."""
    with open(path, "r+b") as file:
        try:
            take(file, *args)
        except (BlockingIOError, PermissionError):
            return True
        return False


def test_its_flock_and_ours_keep_each_other_out(file_lock):
    lock = file_lock()
    lock.acquire()
    assert refused(fcntl.flock, lock.path, fcntl.LOCK_SH | fcntl.LOCK_NB)
    lock.acquire(shared=True)
    assert not refused(fcntl.flock, lock.path, fcntl.LOCK_SH | fcntl.LOCK_NB)
    lock.release()
    with open(lock.path) as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert not lock.try_acquire(shared=True)
        fcntl.flock(theirs, fcntl.LOCK_UN)
    assert lock.try_acquire()


def test_its_lockf_and_our_record_locks_keep_each_other_out(file_lock, fork, pipe):
    lock, ready, hold = file_lock(kind="posix"), pipe(), pipe()
    lock.acquire(start=10, length=5)
    nonblocking = fcntl.LOCK_EX | fcntl.LOCK_NB

    def child() -> list[bool]:
        seen = [refused(fcntl.lockf, lock.path, nonblocking, 1, start) for start in (9, 10, 14, 15)]
        with open(lock.path, "r+b") as theirs:
            fcntl.lockf(theirs, fcntl.LOCK_SH, 2, 20)
            ready.write(b"x")
            hold.read(1)
        return seen

    other = fork(child)
    ready.read(1)
    assert [lock.try_acquire(False, start, 1) for start in (19, 20, 21, 22)] == [True, False, False, True]
    assert lock.try_acquire(True, 20, 2)
    found = lock.test(start=20)
    assert found == RecordLock(F_RDLCK, 20, 2, os.SEEK_SET, other.pid)
    hold.write(b"x")
    assert other.result() == [False, True, True, False]


@pytest.mark.parametrize("cmd", [F_GETLK, F_OFD_GETLK])
def test_the_structure_is_the_one_that_it_would_be_given_by_hand(file_lock, fork, cmd):
    lock = file_lock(kind="posix")
    fcntl_setlk(lock.fd, F_SETLK, RecordLock(F_WRLCK, 1 << 40, 7))

    def child() -> tuple[RecordLock, RecordLock]:
        fd = os.open(lock.path, os.O_RDWR)
        by_hand = fcntl.fcntl(fd, cmd, struct.pack(LAYOUT, F_RDLCK, os.SEEK_SET, 5, 0, 0))
        type, whence, start, length, pid = struct.unpack(LAYOUT, by_hand)
        return RecordLock(type, start, length, whence, pid), fcntl_getlk(fd, cmd, RecordLock(F_RDLCK, 5))

    try:
        by_hand, ours = fork(child).result()
    except OSError as error:
        pytest.skip(f"no such command here: {error}")
    assert by_hand == ours == RecordLock(F_WRLCK, 1 << 40, 7, os.SEEK_SET, os.getpid())


def test_lslocks_sees_the_same(file_lock):
    program = shutil.which("lslocks")
    if program is None or proc_locks() is None:
        pytest.skip("needs lslocks, and /proc/locks")
    locks: list[FileLock] = [file_lock(), file_lock(kind="posix")]
    locks[0].acquire(shared=True)
    locks[1].acquire(start=10, length=5)
    command = [program, "--json", "--noheadings", "--pid", str(os.getpid()), "--output", "TYPE,MODE,M,START,END,INODE"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"this lslocks does not know the options: {done.stderr}")
    listed = {int(row["inode"]): row for row in json.loads(done.stdout)["locks"]}
    for lock in locks:
        (row,) = locks_of(lock.fd) or []
        theirs = listed[os.stat(lock.path).st_ino]
        assert (theirs["type"], theirs["mode"]) == (row.kind, row.type)
        assert (int(theirs["start"]), int(theirs["end"])) == (row.start, row.end or 0)
