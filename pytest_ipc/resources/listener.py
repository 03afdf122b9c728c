"""Sockets that others connect or send to: at a path, with an abstract name, at a port of this machine.

A path is a file, on record and removed after it is identified. An abstract name and a port end with the last descriptor
of the socket, so they need no record.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..kernel.sockets import SUN_PATH_BYTES, accept4
from ..resource import DEFAULT, Handle, Timeout, check_mode, closed_when_dropped
from ..unpatched import os, select, socket
from .file import OwnedFile
from .handed import Duplicate, received
from .socket import Socket, short_enough

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Listener"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Listener(Socket):
    """A socket with its own address, listening unless it is a datagram socket (bind(2), listen(2)).

    `path` is its path in the file system, None for an abstract name or a port; `address` its address in the kernel.
    """

    def __init__(
        self, sock: socket.socket, name: str, file: OwnedFile | None = None, scope: Scope | None = None
    ) -> None:
        self.path: Path | None = None if file is None else Path(file.path)
        self._file = file
        super().__init__(sock, name, scope)

    def _handle(self) -> Handle:
        opening, arguments = super()._handle()
        return opening, (*arguments, self.path)

    @classmethod
    def _handed(cls, passed: Duplicate, name: str, path: Path | None = None) -> Self:
        made = closed_when_dropped(cls(socket.socket(fileno=received(passed)), name))
        made.path = path
        return made

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
        """Create a UNIX socket at *path*, or in its own private directory, with *mode* whatever the umask (unix(7)).

        With *abstract* it has that abstract name, or for True an unused one. Raises ValueError or TypeError for an
        invalid name or mode; OSError (EADDRINUSE if it exists).
        """
        check_mode(mode)
        if path is not None and abstract is not False:
            raise ValueError("a UNIX socket must have a path or an abstract name, not both")
        sock = socket.socket(AF_UNIX, type)
        with ExitStack() as failed:
            failed.callback(sock.close)
            file = None
            if abstract is False:

                def make(place: str) -> None:
                    with short_enough(place) as name:
                        sock.bind(name)
                    # No process can connect before it listens. A datagram socket receives from here on.
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
        """Create an IPv4 or IPv6 socket at *host*, by default the loopback address, and *port*, for 0 a free one.

        Raises ValueError for another *family*; OSError (EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT without IPv6). See
        ip(7) and ipv6(7).
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
        """Return the next connection (accept(2)). Raises TimeoutError after *timeout* seconds; OSError.

        If another process accepts from the same socket, it may be faster; this then waits for the next one, if
        necessary beyond *timeout*.
        """

        def once() -> socket.socket:
            # O_NONBLOCK would change for every process that shares the listener, and accept(2) has no MSG_DONTWAIT.
            if not _has_come(self.socket):
                raise BlockingIOError
            return socket.socket(fileno=accept4(self.fileno(), socket.SOCK_CLOEXEC))

        sock = self._within(timeout, once, "a connection to", "none is pending", self.fileno())
        return Socket(sock, f"connection to the {self._name}", self._scope)

    def all_descriptors(self) -> list[int]:
        """Return its descriptors and those by which its file is recognised."""
        return [*self.descriptors(), *(self._file.descriptors() if self._file is not None else ())]

    def _end(self) -> None:
        if self._file is not None and os.getpid() == self._maker:
            finish(self._file.close, super()._end)
        else:
            super()._end()


def _abstract_name(abstract: bool | bytes) -> bytes:
    if abstract is True:
        return f"pytest-ipc-{os.urandom(8).hex()}".encode()
    if not isinstance(abstract, bytes):
        raise TypeError(f"an abstract name must be bytes, or True for an unused one, not {abstract!r}")
    if not 1 <= len(abstract) < SUN_PATH_BYTES:
        raise ValueError(
            f"an abstract name must have from 1 to {SUN_PATH_BYTES - 1} bytes (sun_path), not {len(abstract)}"
        )
    return abstract


def _listen(sock: socket.socket, backlog: int) -> None:
    if sock.type != SOCK_DGRAM:
        sock.listen(backlog)


def _has_come(sock: socket.socket) -> bool:
    """Return whether a connection waits to be accepted."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
