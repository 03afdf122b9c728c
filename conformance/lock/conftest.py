"""Fixtures of the lock clauses: a file, its open file descriptions, and the bytes that other processes can lock."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from errno import EACCES, EAGAIN, EINVAL, ENOSYS
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, End, Fork, Ipc, Pipe
from pytest_ipc.kernel import (
    F_GETLEASE,
    F_OFD_GETLK,
    F_RDLCK,
    F_SETLK,
    F_SETLKW,
    F_UNLCK,
    F_WRLCK,
    RecordLock,
    fcntl,
    fcntl_getlk,
    fcntl_setlk,
)
from pytest_ipc.kernel import open as raw_open

from .holders import take


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Create a file of 100 bytes."""
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    return path


@pytest.fixture
def opened(ipc_scope: Ipc) -> Callable[..., End]:
    """Open a file with a new open file description: opened(path, flags=O_RDWR) -> End."""

    def make(path: str | os.PathLike[str], flags: int = os.O_RDWR) -> End:
        return End(raw_open(path, flags | os.O_CLOEXEC), f"{os.fspath(path)}", ipc_scope.scope)

    return make


@pytest.fixture
def seen_by_others(file: Path, fork: Fork) -> Callable[..., str]:
    """Return the locks another process can place: seen_by_others(first, count), such as "..rrww".

    One character per byte: "." for any lock, "r" for a shared lock only, "w" for none.
    """

    def can_lock(fd: int, type: int, byte: int) -> bool:
        try:
            fcntl_setlk(fd, F_SETLK, RecordLock(type, byte, 1))
        except OSError as error:
            if error.errno in (EAGAIN, EACCES):
                return False
            raise
        fcntl_setlk(fd, F_SETLK, RecordLock(F_UNLCK, byte, 1))
        return True

    def look(first: int, count: int) -> str:
        fd = os.open(file, os.O_RDWR)
        return "".join(
            "." if can_lock(fd, F_WRLCK, byte) else "r" if can_lock(fd, F_RDLCK, byte) else "w"
            for byte in range(first, first + count)
        )

    return lambda first, count: fork(look, first, count).result()


# Writes a byte when it runs, and terminates after reading one.
_RUN = "import os, sys; os.write(int(sys.argv[1]), b'x'); os.read(int(sys.argv[2]), 1)"


@pytest.fixture
def as_another_program(fork: Fork, pipe: Callable[..., Pipe]) -> Callable[..., tuple[Child[Any], Callable[[], object]]]:
    """Run a function in a child that then executes a program: as_another_program(function) -> (child, end)."""

    def start(function: Callable[[], object]) -> tuple[Child[Any], Callable[[], object]]:
        ready, hold = pipe(), pipe()

        def in_child() -> None:
            function()
            for fd in (ready.write_fd, hold.read_fd):
                os.set_inheritable(fd, True)
            numbers = map(str, (ready.write_fd, hold.read_fd))
            os.execv(sys.executable, [sys.executable, "-P", "-c", _RUN, *numbers])

        child = fork(in_child)
        ready.close_write()  # so that read() ends if the child terminates early
        assert ready.read(1) == b"x", child.output
        return child, lambda: hold.write(b"x")

    return start


@pytest.fixture
def circle(file: Path, fork: Fork, pipe: Callable[..., Pipe]) -> Callable[..., tuple[Child[Any], list[Child[Any]]]]:
    """Start children that each hold a byte and wait for the next one's: circle(count, cmd=F_SETLKW) -> (last, others).

    The others are blocked, and the last one closes the circle now; its locks are released when it terminates. Only
    children wait in the circle, and their results have a timeout, as the kernel may not detect the deadlock.
    """

    def link(byte: int, cmd: int) -> None:
        fd = take(file, RecordLock(F_WRLCK, byte, 1), cmd)
        fcntl_setlk(fd, cmd, RecordLock(F_WRLCK, byte - 1, 1))

    def make(count: int, cmd: int = F_SETLKW) -> tuple[Child[Any], list[Child[Any]]]:
        go = pipe()

        def close_it() -> None:
            fd = take(file, RecordLock(F_WRLCK, 0, 1), cmd)
            go.read(1, timeout=None)
            fcntl_setlk(fd, cmd, RecordLock(F_WRLCK, count - 1, 1))

        last, others = fork(close_it), []
        last.wait_blocked("read")
        for byte in range(1, count):
            others.append(fork(link, byte, cmd))
            others[-1].wait_blocked("fcntl")
        go.write(b"x")
        return last, others

    return make


@pytest.fixture
def ofd_locks(file: Path) -> None:
    """Require open file description locks; a kernel that does not
    know the commands fails with EINVAL, and they are absent.
    """
    _require(file, lambda fd: fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_RDLCK)), "F_OFD_GETLK")


@pytest.fixture
def leases(file: Path) -> None:
    """Require leases, checked in the same way."""
    _require(file, lambda fd: fcntl(fd, F_GETLEASE), "F_GETLEASE")


def _require(file: Path, call: Callable[[int], object], command: str) -> None:
    fd = os.open(file, os.O_RDWR)
    try:
        call(fd)
    except OSError as error:
        if error.errno == EINVAL:
            raise OSError(ENOSYS, f"fcntl fails with EINVAL for {command}, which this kernel does not know") from error
        raise
    finally:
        os.close(fd)
