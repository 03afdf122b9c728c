"""/proc/locks as rows and as text: every form of a row, and the holders of locks without a process."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pytest_ipc.kernel import (
    F_OFD_SETLK,
    F_RDLCK,
    F_SETLK,
    F_SETLKW,
    F_WRLCK,
    LOCK_EX,
    LOCK_SH,
    LockRow,
    RecordLock,
    fcntl_setlk,
    flock,
    locks_of,
    locktable,
    picture_of_locks,
    proc_locks,
)

FIRST_PID_NAMESPACE = 0xEFFFFFFC  # the kernel's inode number for it

TABLE = """\
1: POSIX  ADVISORY  READ 5433 08:01:7864448 128 128
1: -> POSIX  ADVISORY  WRITE 12 08:01:7864448 0 EOF
1:  -> POSIX  ADVISORY  WRITE 13 08:01:7864448 0 9223372036854775806
2: FLOCK  ADVISORY  WRITE 2001 fe:1a:99 0 EOF
3: OFDLCK ADVISORY  READ -1 00:06:7 10 19
4: LEASE  BREAKING  READ 3 00:2a:7 0 EOF
5: DELEG  ACTIVE    WRITE 0 00:2a:7 0 EOF
6: POSIX  MANDATORY WRITE 9 1000:100001:7 0 0
7: POSIX  *NOINODE* WRITE 9 <none>:0 0 EOF
"""


def test_proc_locks_parses_every_kind_of_row(monkeypatch):
    monkeypatch.setattr(locktable, "_lines", lambda _path: TABLE.splitlines())
    assert proc_locks() == [
        LockRow(1, False, "POSIX", "ADVISORY", "READ", 5433, 8, 1, 7864448, 128, 128),
        LockRow(1, True, "POSIX", "ADVISORY", "WRITE", 12, 8, 1, 7864448, 0, None),
        LockRow(1, True, "POSIX", "ADVISORY", "WRITE", 13, 8, 1, 7864448, 0, 9223372036854775806),
        LockRow(2, False, "FLOCK", "ADVISORY", "WRITE", 2001, 254, 26, 99, 0, None),
        LockRow(3, False, "OFDLCK", "ADVISORY", "READ", -1, 0, 6, 7, 10, 19),
        LockRow(4, False, "LEASE", "BREAKING", "READ", 3, 0, 42, 7, 0, None),
        LockRow(5, False, "DELEG", "ACTIVE", "WRITE", 0, 0, 42, 7, 0, None),
        LockRow(6, False, "POSIX", "MANDATORY", "WRITE", 9, 0x1000, 0x100001, 7, 0, 0),
    ]


def test_row_as_text():
    def phrase(kind: str, type: str, end: int | None = None) -> str:
        return str(LockRow(1, False, kind, "ACTIVE", type, 1, 0, 0, 0, 3, end))

    assert phrase("POSIX", "READ", 9) == "shared record lock of bytes 3 to 9"
    assert phrase("OFDLCK", "WRITE") == "exclusive OFD lock of bytes 3 to the end"
    assert phrase("FLOCK", "WRITE") == "exclusive flock of the file"
    assert phrase("LEASE", "UNLCK") == "unlck lease (active)"


@pytest.fixture
def file(tmp_path):
    """Yield a file and its descriptor, on a platform that shows its locks."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield tmp_path / "file", fd
    os.close(fd)


@pytest.fixture
def _shown():
    if proc_locks() is None:
        pytest.skip("there is no /proc/locks")


@pytest.mark.usefixtures("_shown")
def test_locks_of_accepts_a_path_and_a_descriptor(file, tmp_path):
    path, fd = file
    (tmp_path / "other").touch()
    assert locks_of(path) == []
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 10, 5))
    [row] = locks_of(path) or []
    assert (row.kind, row.type, row.pid, row.start, row.end) == ("POSIX", "WRITE", os.getpid(), 10, 14)
    for name in (fd, str(path)):  # and reading releases no record lock
        [again] = locks_of(name) or []
        assert replace(again, id=row.id) == row  # rows are renumbered when other processes take or release locks
    assert locks_of(tmp_path / "other") == []


@pytest.mark.usefixtures("_shown")
def test_waiter_follows_the_lock_it_waits_for(file, fork):
    path, fd = file
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 0, 1))
    child = fork.keeping(fd)(fcntl_setlk, fd, F_SETLKW, RecordLock(F_RDLCK))
    child.wait_blocked("fcntl")
    assert [(row.blocked, row.pid) for row in locks_of(path) or ()] == [(False, os.getpid()), (True, child.pid)]
    first, second = picture_of_locks(path).splitlines()
    assert first.startswith(f"exclusive record lock of bytes 0 to 0, process {os.getpid()} (")
    assert second.startswith(f"    waited for: shared record lock of bytes 0 to the end, process {child.pid} (")


@pytest.mark.usefixtures("_shown")
@pytest.mark.parametrize("kind", ["flock", "ofd"])
def test_processes_with_the_open_file_description_are_found(file, fork, kind, pipe):
    path, fd = file
    if kind == "flock":
        flock(fd, LOCK_EX)
    else:
        fcntl_setlk(fd, F_OFD_SETLK, RecordLock(F_WRLCK, 2, 2))
    child = fork.keeping(fd)(pipe().read, timeout=None)
    child.wait_blocked("read")
    text = picture_of_locks(path)
    assert (
        "exclusive flock of the file, held by " if kind == "flock" else "OFD lock of bytes 2 to 3, held by "
    ) in text
    assert f"descriptor {fd} of process {os.getpid()} (" in text
    assert f"descriptor {fd} of process {child.pid} (" in text


@pytest.mark.usefixtures("_shown")
def test_picture_names_a_holder_after_the_locking_process_ended(file, fork):
    path, fd = file
    fork.keeping(fd)(flock, fd, LOCK_SH).result()
    if os.stat("/proc/self/ns/pid").st_ino != FIRST_PID_NAMESPACE and not locks_of(path):
        pytest.skip("a PID namespace does not show the locks of ended processes")
    assert picture_of_locks(path).startswith("shared flock of the file, held by descriptor")


def test_file_without_locks_and_missing_file(file, tmp_path):
    path, _fd = file
    if proc_locks() is not None:
        assert picture_of_locks(path) == "no lock on it is visible here"
        with pytest.raises(FileNotFoundError):
            locks_of(tmp_path / "nothing")


def test_without_proc_locks_the_picture_says_so(file, monkeypatch):
    monkeypatch.setattr(locktable, "_lines", lambda _path: None)
    assert proc_locks() is None
    assert locks_of(file[0]) is None
    assert picture_of_locks(file[0]) == "the holders of locks cannot be shown: /proc/locks does not exist"
