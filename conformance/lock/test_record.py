"""fcntl(2), "Advisory record locking": shared and exclusive locks of ranges of bytes."""

from __future__ import annotations

import os
from errno import EACCES, EAGAIN, EBADF, EFAULT, EINVAL, EOVERFLOW
from os import O_RDONLY, O_RDWR, O_WRONLY, SEEK_CUR, SEEK_END, SEEK_SET

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    F_GETLK,
    F_RDLCK,
    F_SETLK,
    F_SETLKW,
    F_UNLCK,
    F_WRLCK,
    RecordLock,
    fcntl_flock,
    fcntl_getlk,
    fcntl_setlk,
)

from ..memory import free_range
from .holders import take

READ, WRITE, UNLOCK = F_RDLCK, F_WRLCK, F_UNLCK
LAST = (1 << 63) - 1  # the largest file offset


@clause("fcntl.basic-conflict-eagain", "fcntl(2)", "ERRORS", errno=EAGAIN)
def test_conflicting_lock_fails(file, opened, fork):
    """F_SETLK fails with EAGAIN or EACCES if another process holds an exclusive lock of a byte of the range."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(WRITE, 10, 10))

    def other() -> None:
        for lock in (RecordLock(WRITE, 10, 10), RecordLock(READ, 0, 11), RecordLock(READ, 19, 1), RecordLock(WRITE)):
            with fails_with(EAGAIN, EACCES):
                take(file, lock, F_SETLK)
        take(file, RecordLock(WRITE, 0, 10), F_SETLK)
        take(file, RecordLock(WRITE, 20), F_SETLK)

    fork(other).result()


@pytest.mark.parametrize(
    ("held", "requested", "conflicting"),
    [
        pytest.param(READ, READ, False, id="shared-shared"),
        pytest.param(READ, WRITE, True, id="shared-exclusive"),
        pytest.param(WRITE, READ, True, id="exclusive-shared"),
        pytest.param(WRITE, WRITE, True, id="exclusive-exclusive"),
    ],
)
@clause("fcntl.rd-shared-wr-exclusive", "fcntl_locking(2)", "Advisory record locking")
def test_only_read_locks_are_compatible(file, opened, fork, held, requested, conflicting):
    """Several processes can hold a read lock of a byte; a write lock excludes read and write locks of others."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(held, 5, 1))

    def other() -> None:
        if conflicting:
            with fails_with(EAGAIN, EACCES):
                take(file, RecordLock(requested, 5, 1), F_SETLK)
        else:
            take(file, RecordLock(requested, 5, 1), F_SETLK)

    fork(other).result()


@pytest.mark.parametrize(
    ("whence", "start"),
    [
        pytest.param(SEEK_SET, 30, id="set"),
        pytest.param(SEEK_CUR, 10, id="cur"),
        pytest.param(SEEK_CUR, -10, id="cur-back"),
        pytest.param(SEEK_END, 10, id="end"),
        pytest.param(SEEK_END, -10, id="end-back"),
    ],
)
@clause("fcntl.whence-all", "fcntl_locking(2)", "Advisory record locking")
def test_range_is_relative_to_l_whence(file, opened, seen_by_others, whence, start):
    """l_start is relative to the start, offset or end of the file as l_whence says, and can be negative."""
    fd = opened(file).fd
    os.lseek(fd, 50, SEEK_SET)
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, start, 3, whence))
    first = start + {SEEK_SET: 0, SEEK_CUR: 50, SEEK_END: 100}[whence]
    assert seen_by_others(first - 1, 5) == ".www."
    assert os.lseek(fd, 0, SEEK_CUR) == 50


@clause("fcntl.negative-len", "fcntl_locking(2)", "Advisory record locking", since="2.4.21", level="posix")
def test_negative_length_ends_before_l_start(file, opened, seen_by_others):
    """With a negative l_len the range is the -l_len bytes before l_start."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(WRITE, 20, -5))
    assert seen_by_others(14, 8) == ".wwwww.."


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param(RecordLock(WRITE, -1, 2), id="start"),
        pytest.param(RecordLock(WRITE, 5, -6), id="length-back"),
        pytest.param(RecordLock(WRITE, -1, 2, SEEK_CUR), id="position"),
        pytest.param(RecordLock(WRITE, -101, 2, SEEK_END), id="end"),
    ],
)
@clause("fcntl.before-file-start-einval", "fcntl_locking(2)", "Advisory record locking", errno=EINVAL)
def test_range_before_the_file_fails(file, opened, seen_by_others, lock):
    """F_SETLK fails with EINVAL for a range that begins before the start of the file, and locks nothing."""
    with fails_with(EINVAL):
        fcntl_setlk(opened(file).fd, F_SETLK, lock)
    assert seen_by_others(0, 6) == "......"


@clause("fcntl.beyond-eof", "fcntl_locking(2)", "Advisory record locking")
def test_bytes_beyond_the_end_can_be_locked(file, opened, seen_by_others):
    """F_SETLK locks bytes beyond the end of the file without extending it."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(WRITE, 1 << 40, 2))
    assert seen_by_others((1 << 40) - 1, 4) == ".ww."
    assert file.stat().st_size == 100


@clause("fcntl.len0-covers-growth", "fcntl_locking(2)", "Advisory record locking")
def test_length_0_extends_to_infinity(file, opened, seen_by_others):
    """An l_len of 0 locks all bytes from l_start, also those by which the file grows later."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 98))
    assert seen_by_others(96, 6) == "..wwww"
    os.pwrite(fd, bytes(1000), 100)  # closing another descriptor would release the lock
    assert seen_by_others(1099, 3) == "www"
    assert seen_by_others(LAST - 1, 2) == "ww"


@clause("fcntl.split-merge-shrink", "fcntl_locking(2)", "Advisory record locking")
def test_locks_of_one_process_are_split_and_merged(file, opened, fork, seen_by_others):
    """Unlocking the middle of a range splits the lock, unlocking an
    end shrinks it, and locking the gap merges the parts.
    """
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 10, 10))
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK, 14, 2))
    assert seen_by_others(9, 12) == ".wwww..wwww."
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK, 0, 12))
    fcntl_setlk(fd, F_SETLK, RecordLock(UNLOCK, 19, 50))
    assert seen_by_others(9, 12) == "...ww..www.."
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 14, 2))
    assert seen_by_others(9, 12) == "...wwwwwww.."

    def getlk() -> RecordLock:
        return fcntl_getlk(os.open(file, O_RDWR), F_GETLK, RecordLock(WRITE, 15, 1))

    found = fork(getlk).result()
    assert (found.start, found.len) == (12, 7)


@clause("fcntl.convert-same-process", "fcntl_locking(2)", "Advisory record locking")
def test_new_lock_replaces_overlapping_ones(file, opened, seen_by_others):
    """A new lock converts the overlapping part of the process's locks and keeps the rest."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 10, 10))
    fcntl_setlk(fd, F_SETLK, RecordLock(READ, 13, 3))
    assert seen_by_others(9, 12) == ".wwwrrrwwww."
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 8, 6))
    assert seen_by_others(7, 14) == ".wwwwwwrrwwww."
    fcntl_setlk(fd, F_SETLK, RecordLock(READ))
    assert seen_by_others(7, 14) == "r" * 14


@pytest.mark.parametrize(
    ("flags", "type"),
    [pytest.param(O_WRONLY, READ, id="read-lock"), pytest.param(O_RDONLY, WRITE, id="write-lock")],
)
@clause("fcntl.ebadf-open-mode", "fcntl(2)", "ERRORS", errno=EBADF)
def test_access_mode_must_match_the_lock(file, opened, seen_by_others, flags, type):
    """F_SETLK and F_SETLKW fail with EBADF for a read lock on a
    write-only descriptor and for a write lock on a read-only one.
    """
    fd = opened(file, flags).fd
    for cmd in (F_SETLK, F_SETLKW):
        with fails_with(EBADF):
            fcntl_setlk(fd, cmd, RecordLock(type, 1, 1))
    fcntl_setlk(fd, F_SETLK, RecordLock(READ if type == WRITE else WRITE, 1, 1))
    assert seen_by_others(0, 3) == (".r." if type == WRITE else ".w.")


@pytest.mark.parametrize("cmd", [F_GETLK, F_SETLK, F_SETLKW], ids=["getlk", "setlk", "setlkw"])
@pytest.mark.parametrize("why", ["closed-ebadf", "address-efault", "type-einval", "whence-einval"])
@clause("fcntl.efault-einval-ebadf", "fcntl(2)", "ERRORS")
def test_invalid_arguments_fail(file, opened, seen_by_others, page, cmd, why):
    """F_GETLK, F_SETLK and F_SETLKW fail for a closed descriptor, an
    inaccessible address, an invalid l_type or an invalid l_whence.
    """
    end = opened(file)
    fd = end.fd
    match why:
        case "closed-ebadf":
            end.close()
            with fails_with(EBADF):
                fcntl_setlk(fd, cmd, RecordLock(WRITE))
        case "address-efault":
            with fails_with(EFAULT):
                fcntl_flock(fd, cmd, free_range(page))
        case "type-einval":
            with fails_with(EINVAL):
                fcntl_setlk(fd, cmd, RecordLock(99))
        case "whence-einval":
            with fails_with(EINVAL):
                fcntl_setlk(fd, cmd, RecordLock(WRITE, whence=99))
    assert seen_by_others(0, 2) == ".."


@pytest.mark.parametrize(
    ("whence", "start", "length"),
    [
        pytest.param(SEEK_SET, LAST, 2, id="start"),
        pytest.param(SEEK_CUR, LAST, 1, id="position"),
        pytest.param(SEEK_END, LAST - 99, 1, id="end"),
    ],
)
@clause("fcntl.eoverflow-range", "fcntl(3p)", "ERRORS", errno=EOVERFLOW)
def test_range_beyond_off_t_fails(file, opened, seen_by_others, whence, start, length):
    """F_SETLK fails with EOVERFLOW for a range whose first or last
    byte exceeds off_t, and succeeds for the largest off_t.
    """
    fd = opened(file).fd
    os.lseek(fd, 1, SEEK_SET)
    with fails_with(EOVERFLOW):
        fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, start, length, whence))
    assert seen_by_others(LAST - 1, 2) == ".."
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, LAST, 1))
    assert seen_by_others(LAST - 1, 2) == ".w"


@clause("fcntl.record-locks-advisory", "fcntl_locking(2)", "Mandatory locking")
def test_lock_is_advisory(file, opened, fork):
    """A record lock is advisory: another process can read, write, truncate and unlink the file."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(WRITE))

    def other() -> bytes:
        file.write_bytes(b"written")
        text: bytes = file.read_bytes()
        os.truncate(file, 3)
        os.unlink(file)
        return text

    assert fork(other).result() == b"written"


@clause("fcntl.rename-unlink-keep", "fcntl_locking(2)", "Advisory record locking")
def test_lock_belongs_to_the_file(file, tmp_path, opened, fork):
    """A record lock belongs to the file: it stays after rename() and
    unlink(), and does not apply to a new file of the same name.
    """
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 1, 1))
    os.link(file, tmp_path / "link")
    file.rename(tmp_path / "renamed")
    file.touch()

    def other() -> None:
        take(file, RecordLock(WRITE, 1, 1), F_SETLK)
        for name in ("renamed", "link"):
            with fails_with(EAGAIN, EACCES):
                take(tmp_path / name, RecordLock(WRITE, 1, 1), F_SETLK)

    fork(other).result()

    def by_the_inherited_descriptor() -> None:
        with fails_with(EAGAIN, EACCES):
            fcntl_setlk(fd, F_SETLK, RecordLock(WRITE, 1, 1))

    (tmp_path / "renamed").unlink()
    (tmp_path / "link").unlink()
    fork(by_the_inherited_descriptor).result()
