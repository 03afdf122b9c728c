"""proc(5), /proc/locks: the locks that are held, those that are waited for, and whose are shown to whom."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ENOSYS
from pathlib import Path

import pytest

from pytest_ipc import Child, clause, untested
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
    """What /proc/locks shows of the file: rows() -> [(waited for, kind, mode, type, process, first byte, last byte), …]."""

    def read() -> list[tuple[object, ...]]:
        found = locks_of(file)
        if found is None:
            raise OSError(ENOSYS, "there is no /proc/locks")
        return [(row.blocked, row.kind, row.mode, row.type, row.pid, row.start, row.end) for row in found]

    return read


@clause("proc.locks-row", "proc_locks(5)", SECTION)
def test_each_lock_is_a_row(file, opened, rows):
    """A lock that is held is shown with its kind, ADVISORY, READ or WRITE, its process, device and inode, first byte and last."""
    assert rows() == []
    fd, me = opened(file).fd, os.getpid()
    fcntl_setlk(fd, F_SETLK, RecordLock(F_RDLCK, 10, 5))
    assert rows() == [(False, "POSIX", "ADVISORY", "READ", me, 10, 14)]
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 10))
    assert rows() == [(False, "POSIX", "ADVISORY", "WRITE", me, 10, None)]
    fcntl_setlk(fd, F_SETLK, RecordLock(F_UNLCK))
    flock(fd, LOCK_SH)
    assert rows() == [(False, "FLOCK", "ADVISORY", "READ", me, 0, None)]
    flock(fd, LOCK_EX)
    assert rows() == [(False, "FLOCK", "ADVISORY", "WRITE", me, 0, None)]


@pytest.mark.usefixtures("ofd_locks")
@clause("proc.locks-row-ofd", "proc_locks(5)", SECTION, since="3.15")
def test_a_lock_of_a_description_has_process_minus_1(file, opened, rows):
    """An open file description lock is shown as OFDLCK, and -1 in the place of a process."""
    fcntl_setlk(opened(file).fd, F_OFD_SETLK, RecordLock(F_WRLCK, 1, 1))
    assert rows() == [(False, "OFDLCK", "ADVISORY", "WRITE", -1, 1, 1)]


@pytest.mark.usefixtures("leases")
@clause("proc.locks-row-lease", "proc_locks(5)", SECTION)
def test_a_lease_is_a_row(file, opened, rows):
    """A lease is shown with its holder."""
    fcntl(opened(file, os.O_RDONLY).fd, F_SETLEASE, F_RDLCK)
    assert rows() == [(False, "LEASE", "ACTIVE", "READ", os.getpid(), 0, None)]


@pytest.mark.parametrize("kind", ["POSIX", "FLOCK"])
@clause("proc.locks-waiter-arrow", "proc_locks(5)", SECTION)
def test_who_waits_is_shown_with_an_arrow(file, opened, fork, rows, kind):
    """A request that waits is shown below the lock it waits for, with an arrow and the process that waits; later it is a lock."""
    fd, me = opened(file).fd, os.getpid()
    if kind == "POSIX":
        fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 0, 1))
        waiter = fork(take, file, RecordLock(F_RDLCK))
    else:
        flock(fd, LOCK_EX)
        waiter = fork(take_flock, file, LOCK_SH)
    waiter.wait_blocked("fcntl" if kind == "POSIX" else "flock")
    last = 0 if kind == "POSIX" else None
    assert rows() == [
        (False, kind, "ADVISORY", "WRITE", me, 0, last),
        (True, kind, "ADVISORY", "READ", waiter.pid, 0, None),
    ]


@clause("proc.locks-pidns-filter", "proc_locks(5)", SECTION, since="4.9")
def test_locks_of_a_foreign_pid_namespace_are_hidden(file, opened, tmp_path, fork):
    """/proc/locks shows only the locks of processes in the PID namespace for which that /proc was mounted."""
    proc: Path = tmp_path / "proc"
    proc.mkdir()
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(F_WRLCK, 7001, 1))

    def shown() -> list[bool]:
        try:
            with suppress(OSError):  # so that nothing of this is seen outside; refused where it is so already
                mount(None, "/", flags=MS_REC | MS_PRIVATE)
            mount("proc", proc, "proc")
        except OSError as error:
            untested(f"needs to mount /proc in a PID namespace: {error.strerror}")
        take(file, RecordLock(F_WRLCK, 7002, 1))
        table = (proc / "locks").read_text()
        return [f" {byte} {byte}\n" in table for byte in (7001, 7002)]

    def life() -> list[bool]:
        uid, gid = os.getuid(), os.getgid()
        try:
            unshare(CLONE_NEWPID | CLONE_NEWNS)
        except OSError:
            try:
                unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS)
                map_user(0, 0, uid, gid)
            except OSError as error:
                untested(f"needs a PID namespace: CAP_SYS_ADMIN, or user namespaces: {error.strerror}")
        with Child.start(shown) as first:
            found: list[bool] = first.result()
            return found

    assert fork(life).result() == [False, True]
