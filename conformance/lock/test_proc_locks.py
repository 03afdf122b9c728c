"""proc(5), /proc/locks: held locks, waiting requests, and their visibility."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ENOSYS
from pathlib import Path

import pytest

from pytest_ipc import Child, Need, clause, untested
from pytest_ipc.kernel import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    F_OFD_SETLK,
    F_RDLCK,
    F_SETLEASE,
    F_SETLK,
    F_UNLCK,
    F_WRLCK,
    LOCK_EX,
    LOCK_SH,
    MS_PRIVATE,
    MS_REC,
    RecordLock,
    fcntl,
    fcntl_setlk,
    flock,
    locks_of,
    map_user,
    mount,
    unshare,
)

from .holders import take, take_flock

SECTION = "/proc/locks"


@pytest.fixture
def rows(file):
    """Return the rows of /proc/locks for the file: rows() -> [(blocked, kind, mode, type, pid, start, end), …]."""

    def read() -> list[tuple[object, ...]]:
        found = locks_of(file)
        if found is None:
            raise OSError(ENOSYS, "/proc/locks does not exist")
        return [(row.blocked, row.kind, row.mode, row.type, row.pid, row.start, row.end) for row in found]

    return read


@clause("proc.locks-row", "proc_locks(5)", SECTION)
def test_each_lock_has_a_row(file, opened, rows):
    """/proc/locks shows a lock with its class, ADVISORY, READ or WRITE, PID, device, inode, first and last byte."""
    assert rows() == []
    fd, pid = opened(file).fd, os.getpid()
    fcntl_setlk(fd, F_SETLK, RecordLock(F_RDLCK, 10, 5))
    assert rows() == [(False, "POSIX", "ADVISORY", "READ", pid, 10, 14)]
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 10))
    assert rows() == [(False, "POSIX", "ADVISORY", "WRITE", pid, 10, None)]
    fcntl_setlk(fd, F_SETLK, RecordLock(F_UNLCK))
    flock(fd, LOCK_SH)
    assert rows() == [(False, "FLOCK", "ADVISORY", "READ", pid, 0, None)]
    flock(fd, LOCK_EX)
    assert rows() == [(False, "FLOCK", "ADVISORY", "WRITE", pid, 0, None)]


@pytest.mark.usefixtures("ofd_locks")
@clause("proc.locks-row-ofd", "proc_locks(5)", SECTION, since="3.15")
def test_description_lock_has_pid_minus_1(file, opened, rows):
    """/proc/locks shows an open file description lock as OFDLCK with PID -1."""
    fcntl_setlk(opened(file).fd, F_OFD_SETLK, RecordLock(F_WRLCK, 1, 1))
    assert rows() == [(False, "OFDLCK", "ADVISORY", "WRITE", -1, 1, 1)]


@pytest.mark.usefixtures("leases")
@clause("proc.locks-row-lease", "proc_locks(5)", SECTION)
def test_lease_has_a_row(file, opened, rows):
    """/proc/locks shows a lease with the PID of its holder."""
    fcntl(opened(file, os.O_RDONLY).fd, F_SETLEASE, F_RDLCK)
    assert rows() == [(False, "LEASE", "ACTIVE", "READ", os.getpid(), 0, None)]


@pytest.mark.parametrize("kind", ["POSIX", "FLOCK"])
@clause("proc.locks-waiter-arrow", "proc_locks(5)", SECTION)
def test_waiting_request_has_an_arrow(file, opened, fork, rows, kind):
    """/proc/locks shows a blocked request with an arrow and its PID below the lock that blocks it."""
    fd, pid = opened(file).fd, os.getpid()
    if kind == "POSIX":
        fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 0, 1))
        waiter = fork(take, file, RecordLock(F_RDLCK))
    else:
        flock(fd, LOCK_EX)
        waiter = fork(take_flock, file, LOCK_SH)
    waiter.wait_blocked("fcntl" if kind == "POSIX" else "flock")
    last = 0 if kind == "POSIX" else None
    assert rows() == [
        (False, kind, "ADVISORY", "WRITE", pid, 0, last),
        (True, kind, "ADVISORY", "READ", waiter.pid, 0, None),
    ]


@clause("proc.locks-pidns-filter", "proc_locks(5)", SECTION, since="4.9")
def test_locks_of_another_pid_namespace_are_hidden(file, opened, tmp_path, fork):
    """/proc/locks shows only the locks of processes in the PID namespace of that procfs mount."""
    proc: Path = tmp_path / "proc"
    proc.mkdir()
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(F_WRLCK, 7001, 1))

    def shown() -> list[bool]:
        try:
            with suppress(OSError):  # keeps the mount private; fails if it is already
                mount(None, "/", flags=MS_REC | MS_PRIVATE)
            mount("proc", proc, "proc")
        except OSError as error:
            untested(Need.MOUNTS, f"needs to mount /proc in a PID namespace: {error.strerror}")
        take(file, RecordLock(F_WRLCK, 7002, 1))
        table = (proc / "locks").read_text()
        return [f" {byte} {byte}\n" in table for byte in (7001, 7002)]

    def child() -> list[bool]:
        uid, gid = os.getuid(), os.getgid()
        try:
            unshare(CLONE_NEWPID | CLONE_NEWNS)
        except OSError:
            try:
                unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS)
                map_user(0, 0, uid, gid)
            except OSError as error:
                untested(
                    Need.PID_NAMESPACES, f"needs a PID namespace: CAP_SYS_ADMIN, or user namespaces: {error.strerror}"
                )
        with Child.start(shown) as first:
            found: list[bool] = first.result()
            return found

    assert fork(child).result() == [False, True]
