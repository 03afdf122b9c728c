"""lockf(3): exclusive record locks of fcntl(2), from the file offset."""

from __future__ import annotations

import os
import signal
from errno import EACCES, EAGAIN, EBADF, EINTR, EINVAL
from os import O_RDONLY, O_RDWR, SEEK_CUR, SEEK_SET
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    F_GETLK,
    F_LOCK,
    F_RDLCK,
    F_SETLK,
    F_TEST,
    F_TLOCK,
    F_ULOCK,
    F_UNLCK,
    F_WRLCK,
    RecordLock,
    fcntl_getlk,
    fcntl_setlk,
    lockf,
)

from .holders import take


@pytest.fixture
def at(opened, file):
    """Open the file at a file offset: at(offset) -> descriptor."""

    def make(position: int) -> int:
        fd: int = opened(file).fd
        os.lseek(fd, position, SEEK_SET)
        return fd

    return make


@clause("fcntl.lockf-maps", "lockf(3)", "DESCRIPTION")
def test_lockf_locks_are_record_locks(file, at, fork):
    """lockf() on Linux places exclusive fcntl() record locks, which F_GETLK returns and which conflict with others."""
    fd = at(10)
    lockf(fd, F_LOCK, 5)

    def other() -> RecordLock:
        with fails_with(EAGAIN, EACCES):
            take(file, RecordLock(F_RDLCK, 14, 1), F_SETLK)
        fd = take(file, RecordLock(F_RDLCK, 50, 1), F_SETLK)
        return fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK))

    assert fork(other).result() == RecordLock(F_WRLCK, 10, 5, SEEK_SET, os.getpid())
    fcntl_setlk(fd, F_SETLK, RecordLock(F_UNLCK, 10, 5))
    fork(take, file, RecordLock(F_WRLCK, 10, 5), F_SETLK).result()


@pytest.mark.parametrize(
    ("length", "locked"),
    [
        pytest.param(3, "...www...", id="forward"),
        pytest.param(-3, "www......", id="back"),
        pytest.param(0, "...wwwwww", id="to-the-end"),
    ],
)
@clause("lockf.section-from-position", "lockf(3)", "DESCRIPTION")
def test_section_begins_at_the_file_offset(at, seen_by_others, length, locked):
    """lockf() locks the bytes after the file offset, those before it
    for a negative length, and all after it for length 0.
    """
    fd = at(97)
    lockf(fd, F_LOCK, length)
    assert seen_by_others(94, 9) == locked
    assert os.lseek(fd, 0, SEEK_CUR) == 97


@clause("lockf.f_lock-blocks", "lockf(3)", "F_LOCK")
def test_f_lock_blocks(file, at, fork):
    """lockf() with F_LOCK blocks while another process has locked part of the section, and then locks it."""
    fd = at(10)
    lockf(fd, F_LOCK, 5)

    def other() -> None:
        fd = os.open(file, O_RDWR)
        lockf(fd, F_LOCK, 11)

    waiter = fork(other)
    waiter.wait_blocked("lockf")
    lockf(fd, F_ULOCK, 5)
    waiter.result()


@clause("lockf.f_lock-merges", "lockf(3)", "F_LOCK")
def test_overlapping_sections_are_merged(file, at, fork):
    """lockf() merges a section with overlapping locked ones of the process."""
    fd = at(10)
    lockf(fd, F_LOCK, 5)
    lockf(fd, F_LOCK, -3)
    lockf(fd, F_TLOCK, 8)

    def other() -> RecordLock:
        return fcntl_getlk(os.open(file, O_RDWR), F_GETLK, RecordLock(F_WRLCK))

    found = fork(other).result()
    assert (found.start, found.len) == (7, 11)


@clause("lockf.f_tlock-eagain", "lockf(3)", "F_TLOCK", errno=EAGAIN)
def test_f_tlock_fails_instead_of_blocking(file, at, fork):
    """lockf() with F_TLOCK fails with EAGAIN or EACCES if another process has locked part of the section."""
    lockf(at(10), F_TLOCK, 5)

    def other() -> None:
        fd = os.open(file, O_RDWR)
        with fails_with(EAGAIN, EACCES):
            lockf(fd, F_TLOCK, 11)
        lockf(fd, F_TLOCK, 10)

    fork(other).result()


@clause("lockf.f_ulock-splits", "lockf(3)", "F_ULOCK")
def test_f_ulock_unlocks_only_the_section(at, seen_by_others):
    """lockf() with F_ULOCK unlocks the section, and keeps the locks on both sides of it."""
    fd = at(10)
    lockf(fd, F_LOCK, 6)
    os.lseek(fd, 12, SEEK_SET)
    lockf(fd, F_ULOCK, 2)
    assert seen_by_others(9, 8) == ".ww..ww."


@clause("lockf.f_test", "lockf(3)", "F_TEST", errno=EAGAIN)
def test_f_test_reports_locks_of_others(file, at, fork, seen_by_others):
    """lockf() with F_TEST succeeds for a free section or an own lock, fails with EAGAIN
    or EACCES for a lock of another process, and locks nothing.
    """
    fd = at(10)
    lockf(fd, F_LOCK, 5)
    lockf(fd, F_TEST, 5)
    lockf(fd, F_TEST, -10)
    assert seen_by_others(8, 4) == "..ww"

    def other() -> None:
        fd = os.open(file, O_RDWR)
        lockf(fd, F_TEST, 10)
        with fails_with(EAGAIN, EACCES):
            lockf(fd, F_TEST, 11)
        with fails_with(EAGAIN, EACCES):
            lockf(fd, F_TEST, 0)

    fork(other).result()


@clause("lockf.eintr", "lockf(3)", "ERRORS", errno=EINTR)
def test_handler_interrupts_f_lock(file, at, fork, signals):
    """A blocked lockf() with F_LOCK fails with EINTR when a signal handler without SA_RESTART runs."""
    lockf(at(0), F_LOCK)

    def child() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            lockf(os.open(file, O_RDWR), F_LOCK)
        signal.pause()

    waiter = fork(child)
    waiter.wait_blocked("lockf")
    waiter.signal(SIGUSR1)
    waiter.wait_blocked("pause")


@pytest.mark.parametrize("cmd", [F_LOCK, F_TLOCK], ids=["lock", "tlock"])
@clause("lockf.ebadf-not-writable", "lockf(3)", "ERRORS", errno=EBADF)
def test_lockf_needs_a_writable_descriptor(file, opened, cmd):
    """lockf() with F_LOCK or F_TLOCK fails with EBADF on a descriptor that is closed or not open for writing."""
    with fails_with(EBADF):
        lockf(opened(file, O_RDONLY).fd, cmd, 1)
    end = opened(file)
    fd = end.fd
    end.close()
    with fails_with(EBADF):
        lockf(fd, cmd, 1)


@clause("lockf.einval-cmd", "lockf(3)", "ERRORS", errno=EINVAL)
def test_invalid_command_or_section_fails(at, seen_by_others):
    """lockf() fails with EINVAL for an invalid command and for a
    section before the start of the file, and locks nothing.
    """
    fd = at(2)
    for cmd in (-1, 4, 99):
        with fails_with(EINVAL):
            lockf(fd, cmd, 1)
    with fails_with(EINVAL):
        lockf(fd, F_LOCK, -3)
    assert seen_by_others(0, 4) == "...."
