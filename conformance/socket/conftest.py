"""Fixtures of the socket clauses: raw pairs, unread bytes, full buffers, a directory open to all users."""

from __future__ import annotations

import os
import resource
from array import array
from collections.abc import Callable
from contextlib import suppress
from errno import EADDRNOTAVAIL, EAFNOSUPPORT, ENETDOWN, ENETUNREACH
from fcntl import ioctl
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNIX, MSG_DONTWAIT, SOCK_STREAM
from termios import FIONREAD

import pytest

from pytest_ipc import End, Ipc, Listener, Need, Socket, Sockets, untested
from pytest_ipc.kernel import limit, send, socketpair

from ..credentials import limit_process


@pytest.fixture
def raw_pair(ipc_scope: Ipc) -> Callable[..., tuple[int, int]]:
    """Return two descriptors from socketpair(2), closed with the test: raw_pair(type=SOCK_STREAM)."""

    def make(type: int = SOCK_STREAM) -> tuple[int, int]:
        fds = socketpair(AF_UNIX, type)
        for fd in fds:
            End(fd, "end of a socket pair", ipc_scope.scope)
        return fds

    return make


@pytest.fixture
def room_to_listen() -> None:
    """Report untested unless a few connections can wait to be accepted (listen(2))."""
    most = limit("net/core/somaxconn")
    if most is not None and most < 4:
        untested(Need.MACHINE_LIMITS, f"net.core.somaxconn is {most}, and the clause needs 4")


@pytest.fixture
def unread() -> Callable[[Socket], int]:
    """Return the number of unread bytes (SIOCINQ): unread(socket)."""

    def count(socket: Socket) -> int:
        number = array("i", [-1])
        ioctl(socket.fd, FIONREAD, number)
        return number[0]

    return count


@pytest.fixture
def fill() -> Callable[[Socket], int]:
    """Send on a stream until its buffer is full: fill(socket) -> the number of bytes sent."""

    def until_full(socket: Socket) -> int:
        count = 0
        with suppress(BlockingIOError):
            while count < 1 << 24:  # bounded, in case the kernel under test never blocks
                count += send(socket.fd, bytes(4096), MSG_DONTWAIT)
        return count

    return until_full


@pytest.fixture
def connection(sockets: Sockets) -> Callable[..., tuple[Socket, Socket]]:
    """Return a TCP connection on the loopback device: connection() -> the connecting socket, the accepted socket."""

    def make(family: int = AF_INET) -> tuple[Socket, Socket]:
        with listening(sockets, family) as listener:
            return sockets.connect(listener), listener.accept()

    return make


def listening(sockets: Sockets, family: int = AF_INET, type: int = SOCK_STREAM) -> Listener:
    """Return a socket on the loopback device. Report untested if the device is down or has no IPv6, as in a sandbox."""
    try:
        listener = sockets.listen_inet(family=family, type=type)
    except OSError as error:
        # Without IPv6 in the kernel the family is missing; with IPv6 disabled only the address is.
        if family == AF_INET6 and error.errno in (EAFNOSUPPORT, EADDRNOTAVAIL):
            untested(Need.NETWORK, f"needs IPv6: {error.strerror}")
        if error.errno in (ENETDOWN, ENETUNREACH):
            untested(Need.NETWORK, f"needs the loopback device: {error.strerror}")
        raise
    return listener


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[[Listener], str]:
    """Change to a listener's directory and return its file name: the whole path may be too long for an address."""

    def go(listener: Listener) -> str:
        assert listener.path is not None
        monkeypatch.chdir(listener.path.parent)
        return listener.path.name

    return go


@pytest.fixture
def common(tmp_path: Path) -> Path:
    """Return a directory in which every user may create files; its parents may be inaccessible, so a child starts
    inside it."""
    tmp_path.chmod(0o777)
    return tmp_path


def leave_room_for(count: int) -> None:
    """Let this process, a child, open *count* more descriptors and no others."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = [os.dup(0) for _ in range(count + 1)]
    for fd in opened:
        os.close(fd)
    limit_process("NOFILE", opened[-1])
