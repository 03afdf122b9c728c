"""The factory of sockets: unconnected, in connected pairs, listening, and connected to a listener.

A class is imported when its method is first called, so that a test without sockets does not pay for them.
"""

from __future__ import annotations

from _socket import AF_INET, AF_UNIX, SOCK_STREAM
from typing import TYPE_CHECKING, NoReturn

from ..custody.scope import Scope
from ..resource import DEFAULT, Timeout, created
from ..unpatched import os

if TYPE_CHECKING:
    from .listener import Listener
    from .socket import Address, Socket

__all__ = ["Sockets"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Sockets:
    """Create sockets: unconnected, in connected pairs, listening, and connected to a listener."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "sockets cannot be passed to another process: it belongs to the process that closes its sockets; pass the "
            "sockets, or use pytest_ipc.scope() there"
        )

    def socket(self, family: int = AF_UNIX, type: int = SOCK_STREAM, protocol: int = 0) -> Socket:
        """Create a socket that is neither bound nor connected (socket(2)). OSError."""
        __tracebackhide__ = True
        from .socket import Socket

        return created(Socket.create, family, type, protocol, scope=self.scope)

    def pair(self, type: int = SOCK_STREAM) -> tuple[Socket, Socket]:
        """Create two connected UNIX sockets of *type*: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET (socketpair(2)).

        OSError.
        """
        __tracebackhide__ = True
        from .socket import Socket

        return created(Socket.pair, type, scope=self.scope)

    def connect(self, to: Socket | Address, *, type: int | None = None, timeout: Timeout = DEFAULT) -> Socket:
        """Create a socket and connect it to a listener, a path, an abstract name or a host and port (connect(2)).

        *type* is the listener's by default, or else SOCK_STREAM. Raises TimeoutError if the peer does not accept the
        connection into its backlog within *timeout* seconds; OSError.
        """
        __tracebackhide__ = True
        from .socket import Socket

        return created(Socket.connect, to, type=type, timeout=timeout, scope=self.scope)

    def listen_unix(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        abstract: bool | bytes = False,
        type: int = SOCK_STREAM,
        mode: int = 0o600,
        backlog: int = 16,
    ) -> Listener:
        """Create a listening UNIX socket at *path*, in a private directory, or under an abstract name (unix(7)).

        *abstract* is the name, or True for an unused one. *mode* applies whatever the umask. Raises OSError (EADDRINUSE
        if the path or name exists).
        """
        __tracebackhide__ = True
        from .listener import Listener

        return created(Listener.unix, path, abstract=abstract, type=type, mode=mode, backlog=backlog, scope=self.scope)

    def listen_inet(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        family: int = AF_INET,
        type: int = SOCK_STREAM,
        backlog: int = 16,
    ) -> Listener:
        """Create a listening IPv4 or IPv6 socket at *host*, by default loopback, and *port*, 0 for a free one (ip(7)).

        ValueError for another *family*; OSError: EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT.
        """
        __tracebackhide__ = True
        from .listener import Listener

        return created(Listener.inet, host, port, family=family, type=type, backlog=backlog, scope=self.scope)
