"""Sockets that others connect or send to: at a path, under an abstract name, at a port of this machine.

A path is a file, on record in custody and removed with its proof. An abstract name goes with the last descriptor of its
socket, a port likewise: there is nothing to record.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..kernel.sockets import SUN_PATH_BYTES, accept4
from ..resource import DEFAULT, Timeout, check_mode
from ..unpatched import os, select, socket
from .file import OwnedFile
from .socket import Socket, short_enough

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Listener"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Listener(Socket):
    """A socket with an address that was made for it, listening unless it is one of datagrams (bind(2), listen(2)).

    `path` is where it is in the file system, None for an abstract name or a port; `address` what the kernel calls it.
    """

    def __init__(
        self, sock: socket.socket, name: str, file: OwnedFile | None = None, scope: Scope | None = None
    ) -> None:
        self.path: Path | None = None if file is None else Path(file.path)
        self._file = file
        super().__init__(sock, name, scope)

    @classmethod
    def unix(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        abstract: bool | bytes = False,
        type: int = SOCK_STREAM,
        mode: int = 0o600,
        backlog: int = 16,
        scope: Scope | None = None,
    ) -> Self:
        """A UNIX socket (unix(7)) at *path*, or in a private directory of its own, with *mode*; whatever its umask.

        With *abstract* it has that name in the abstract namespace, or for True one that nobody else has. ValueError or
        TypeError for a name or mode that no socket can have; OSError (EADDRINUSE where there is one).
        """
        check_mode(mode)
        if path is not None and abstract is not False:
            raise ValueError("a UNIX socket is at a path or has an abstract name, not both")
        sock = socket.socket(AF_UNIX, type)
        with ExitStack() as failed:
            failed.callback(sock.close)
            file = None
            if abstract is False:

                def make(place: str) -> None:
                    with short_enough(place) as name:
                        sock.bind(name)
                    # Nobody can connect before it listens. A datagram socket takes what comes from here on.
                    os.chmod(place, mode)

                file = OwnedFile.create("unix-socket", "UNIX socket", make, path)
                failed.callback(file.close)
                name = f"UNIX socket {file.path}"
            else:
                word = _abstract_name(abstract)
                sock.bind(b"\0" + word)
                name = f"abstract UNIX socket {word!r}"
            _listen(sock, backlog)
            failed.pop_all()
        return cls(sock, name, file, scope)

    @classmethod
    def inet(
        cls,
        host: str | None = None,
        port: int = 0,
        *,
        family: int = AF_INET,
        type: int = SOCK_STREAM,
        backlog: int = 16,
        scope: Scope | None = None,
    ) -> Self:
        """An IPv4 or IPv6 socket (ip(7), ipv6(7)) at *host*, the loopback address if None, and a port that is free for 0.

        ValueError for another *family*; OSError (EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT without IPv6).
        """
        loopback: dict[int, str] = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
        if family not in loopback:
            raise ValueError(f"family must be AF_INET or AF_INET6, not {family!r}")
        sock = socket.socket(family, type)
        with ExitStack() as failed:
            failed.callback(sock.close)
            sock.bind((loopback[family] if host is None else host, port))
            _listen(sock, backlog)
            failed.pop_all()
        return cls(sock, f"socket at {sock.getsockname()[0]} port {sock.getsockname()[1]}", None, scope)

    def accept(self, *, timeout: Timeout = DEFAULT) -> Socket:
        """accept(2): the next connection. TimeoutError when nobody came within *timeout* seconds; OSError.

        Where another process accepts from the same socket it may be quicker; this then waits for the one after, past
        its time if need be.
        """

        def once() -> socket.socket:
            # O_NONBLOCK would be changed for every process that shares the listener, and there is no MSG_DONTWAIT here.
            if not _has_come(self.socket):
                raise BlockingIOError
            return socket.socket(fileno=accept4(self.fileno(), socket.SOCK_CLOEXEC))

        sock = self._within(timeout, once, "a connection to", "none is pending", self.fileno())
        return Socket(sock, f"connection to the {self._name}", self._scope)

    def _end(self) -> None:
        if self._file is not None and os.getpid() == self._maker:
            finish(self._file.close, super()._end)
        else:
            super()._end()


def _abstract_name(abstract: bool | bytes) -> bytes:
    if abstract is True:
        return f"pytest-ipc-{os.urandom(8).hex()}".encode()
    if not isinstance(abstract, bytes):
        raise TypeError(f"an abstract name must be bytes, or True for one that nobody else has, not {abstract!r}")
    if not 1 <= len(abstract) < SUN_PATH_BYTES:
        raise ValueError(
            f"an abstract name must have from 1 to {SUN_PATH_BYTES - 1} bytes (sun_path), not {len(abstract)}"
        )
    return abstract


def _listen(sock: socket.socket, backlog: int) -> None:
    if sock.type != SOCK_DGRAM:
        sock.listen(backlog)


def _has_come(sock: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
