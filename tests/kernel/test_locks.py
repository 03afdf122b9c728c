"""Calls on locks and leases: a round trip of each, EINTR is visible, and values beyond their C type are refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EAGAIN, EBADF, EINTR, EINVAL
from typing import Any

import pytest

from pytest_ipc import fails_with
from pytest_ipc import kernel as ipc
from pytest_ipc.kernel import RecordLock, locks


@pytest.fixture
def fd(tmp_path):
    """Yield a file opened for reading and writing."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_record_lock_is_set_read_and_released(fd, fork):
    ipc.fcntl_setlk(fd, ipc.F_SETLK, RecordLock(ipc.F_WRLCK, 1 << 40, 7))

    def ask():
        return ipc.fcntl_getlk(fd, ipc.F_GETLK, RecordLock(ipc.F_RDLCK))

    assert fork.keeping(fd)(ask).result() == RecordLock(ipc.F_WRLCK, 1 << 40, 7, os.SEEK_SET, os.getpid())
    ipc.fcntl_setlk(fd, ipc.F_SETLK, RecordLock(ipc.F_UNLCK))
    assert fork.keeping(fd)(ask).result() == RecordLock(ipc.F_UNLCK)


def test_flock_is_set_and_released(fd, tmp_path):
    ipc.flock(fd, ipc.LOCK_EX)
    other = os.open(tmp_path / "file", os.O_RDONLY)
    with fails_with(EAGAIN):
        ipc.flock(other, ipc.LOCK_SH | ipc.LOCK_NB)
    ipc.flock(fd, ipc.LOCK_UN)
    ipc.flock(other, ipc.LOCK_SH | ipc.LOCK_NB)
    os.close(other)


def test_lockf_starts_at_the_file_position(fd, fork):
    os.lseek(fd, 10, os.SEEK_SET)
    ipc.lockf(fd, ipc.F_LOCK, -5)

    def ask():
        return ipc.fcntl_getlk(fd, ipc.F_GETLK, RecordLock(ipc.F_RDLCK))

    found = fork.keeping(fd)(ask).result()
    assert (found.type, found.start, found.len) == (ipc.F_WRLCK, 5, 5)


@pytest.mark.parametrize("call", ["flock", "fcntl", "lockf"])
def test_interrupted_wait_fails_with_eintr(fd, tmp_path, fork, signals, call):
    calls: dict[str, tuple[Callable[[], None], Callable[[int], None]]] = {
        "flock": (lambda: ipc.flock(fd, ipc.LOCK_EX), lambda fd: ipc.flock(fd, ipc.LOCK_EX)),
        "fcntl": (
            lambda: ipc.fcntl_setlk(fd, ipc.F_SETLK, RecordLock(ipc.F_WRLCK)),
            lambda fd: ipc.fcntl_setlk(fd, ipc.F_SETLKW, RecordLock(ipc.F_WRLCK)),
        ),
        "lockf": (lambda: ipc.lockf(fd, ipc.F_LOCK), lambda fd: ipc.lockf(fd, ipc.F_LOCK)),
    }
    lock, wait = calls[call]
    lock()

    def life():
        signals.catch(signal.SIGUSR1)
        with fails_with(EINTR):
            wait(os.open(tmp_path / "file", os.O_RDWR))

    child = fork(life)
    child.wait_blocked(call)
    child.signal(signal.SIGUSR1)
    child.result()


@pytest.mark.parametrize(
    "lock",
    [
        RecordLock(1 << 15),
        RecordLock(-(1 << 15) - 1),
        RecordLock(0, 1 << 63),
        RecordLock(0, 0, -(1 << 63) - 1),
        RecordLock(0, whence=1 << 15),
        RecordLock(0, pid=1 << 31),
    ],
    ids=repr,
)
def test_value_beyond_the_structure_member_raises_overflow_error(fd, lock):
    for use in (lambda: ipc.fcntl_setlk(fd, ipc.F_SETLK, lock), lambda: ipc.fcntl_getlk(fd, ipc.F_GETLK, lock)):
        with pytest.raises(OverflowError, match="fcntl"):
            use()


def test_non_integer_raises_type_error(fd):
    # A type checker rejects these, too.
    uses: list[Callable[[], Any]] = [
        lambda: ipc.fcntl_setlk(fd, ipc.F_SETLK, RecordLock("1")),  # type: ignore[arg-type]
        lambda: ipc.fcntl_flock(fd, ipc.F_SETLK, "1"),  # type: ignore[arg-type]
        lambda: ipc.flock(fd, None),  # type: ignore[arg-type]
        lambda: ipc.lockf(fd, ipc.F_LOCK, 1.5),  # type: ignore[arg-type]
    ]
    for use in uses:
        with pytest.raises(TypeError, match="must be an integer"):
            use()
    with pytest.raises(OverflowError, match="lockf"):
        ipc.lockf(fd, ipc.F_LOCK, 1 << 63)
    with pytest.raises(OverflowError, match="fcntl"):
        ipc.fcntl_notify(fd, -1)
    with fails_with(EBADF):
        ipc.flock(-1, ipc.LOCK_EX)


def test_setown_ex_sets_what_getown_ex_returns(pipe):
    fd = pipe().read_fd
    assert ipc.fcntl_getown_ex(fd)[1] == 0
    for type, pid in ((ipc.F_OWNER_TID, os.getpid()), (ipc.F_OWNER_PID, os.getpid()), (ipc.F_OWNER_PGRP, os.getpgrp())):
        ipc.fcntl_setown_ex(fd, type, pid)
        assert ipc.fcntl_getown_ex(fd) == (type, pid)
    with pytest.raises(OverflowError):
        ipc.fcntl_setown_ex(fd, ipc.F_OWNER_PID, 1 << 31)
    ipc.fcntl(fd, ipc.F_SETSIG, signal.SIGRTMIN)
    assert ipc.fcntl(fd, ipc.F_GETSIG) == signal.SIGRTMIN


def test_notify_sends_the_signal_of_setsig(tmp_path, fork):
    (tmp_path / "file").write_text("x")

    def life():
        ipc.sigprocmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        fd = os.open(tmp_path, os.O_RDONLY)
        ipc.fcntl(fd, ipc.F_SETSIG, signal.SIGRTMIN)
        try:
            ipc.fcntl_notify(fd, ipc.DN_CREATE | ipc.DN_MULTISHOT)
        except OSError as error:
            return error.errno  # a kernel without dnotify
        reported = []
        for name in "ab":
            (tmp_path / name).touch()
            reported.append(ipc.sigtimedwait([signal.SIGRTMIN], 5).fd == fd)
        return reported

    assert fork(life).result() in ([True, True], EINVAL)


def test_lease_break_signal_has_the_descriptor(tmp_path, fork):
    (tmp_path / "file").touch()

    def life():
        ipc.sigprocmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        ipc.fcntl(fd, ipc.F_SETSIG, signal.SIGRTMIN)
        try:
            ipc.fcntl(fd, ipc.F_SETLEASE, ipc.F_RDLCK)
        except OSError as error:
            return error.errno
        with fails_with(EAGAIN):
            ipc.open(tmp_path / "file", os.O_WRONLY | os.O_NONBLOCK)
        reported = ipc.sigtimedwait([signal.SIGRTMIN], 5)
        return reported.fd == fd, reported.code == ipc.POLL_MSG

    assert fork(life).result() in ((True, True), EINVAL, EAGAIN)


def test_32_bit_machine_uses_the_commands_with_64_bit_offsets(monkeypatch):
    asked = []
    monkeypatch.setattr(locks, "_WIDE_COMMANDS", {ipc.F_GETLK: 12, ipc.F_SETLK: 13, ipc.F_SETLKW: 14})
    monkeypatch.setattr(locks, "_fcntl", lambda _fd, cmd, _address: asked.append(cmd))
    for cmd in (ipc.F_GETLK, ipc.F_SETLK, ipc.F_SETLKW, ipc.F_OFD_SETLK):
        locks.fcntl_flock(0, cmd, None)
    assert asked == [12, 13, 14, ipc.F_OFD_SETLK]
