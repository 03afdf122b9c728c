"""Sockets as objects: the stdlib's, owned, and with deadlines that do not change the blocking mode.

A timeout of the stdlib sets O_NONBLOCK of the open file description, which changes the socket for every process that
shares it. So each call here is tried without blocking (MSG_DONTWAIT) until the time is over; `socket` is the stdlib's
object for everything else.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EINVAL
from socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_DONTWAIT,
    SCM_CREDENTIALS,
    SCM_RIGHTS,
    SHUT_WR,
    SO_PASSCRED,
    SOCK_STREAM,
    SOL_SOCKET,
)
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..kernel.sockets import (
    SCM_MAX_FD,
    SCM_PIDFD,
    SO_PASSPIDFD,
    SUN_PATH_BYTES,
    Ucred,
    peer_credentials,
    peer_groups,
    peer_pidfd,
)
from ..kernel.waiting import Deadline
from ..printable import plain
from ..resource import DEFAULT, Timeout, check_timeout, closed_when_dropped, timed_out
from ..unpatched import os, socket
from .handed import Duplicate, received
from .pipe import End

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Message", "Socket"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Given = TypeVar("Given")
Address = str | bytes | os.PathLike[str] | tuple[Any, ...]


@dataclass
class Message:
    """The result of one recvmsg(2): the data and its ancillary data."""

    data: bytes
    flags: int = 0
    address: Any = None
    fds: list[End] = field(default_factory=list)
    credentials: Ucred | None = None
    pidfd: End | None = None


# The maximum timeout of Python's sockets in seconds: some 30 years.
_LONGEST_TIMEOUT = 1e9


class Socket(End):
    """A socket (socket(7), unix(7), ip(7)); `socket` is the stdlib's object. Closed when its block or scope ends."""

    def __init__(self, sock: socket.socket, name: str, scope: Scope | None = None) -> None:
        if sock.gettimeout():  # from socket.setdefaulttimeout(); 0 is from SOCK_NONBLOCK
            sock.settimeout(None)
        self._socket = sock
        super().__init__(sock.fileno(), name, scope)

    @classmethod
    def _handed(cls, passed: Duplicate, name: str) -> Self:
        return closed_when_dropped(cls(socket.socket(fileno=received(passed)), name))

    @classmethod
    def create(
        cls, family: int = AF_UNIX, type: int = SOCK_STREAM, protocol: int = 0, *, scope: Scope | None = None
    ) -> Self:
        """Create a socket, neither bound nor connected (socket(2)). Raises OSError."""
        return cls(socket.socket(family, type, protocol), _name(family, type), scope)

    @classmethod
    def pair(cls, type: int = SOCK_STREAM, *, scope: Scope | None = None) -> tuple[Self, Self]:
        """Create two connected UNIX sockets of *type* (socketpair(2)).

        *type* is SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET. Raises OSError.
        """
        one, other = socket.socketpair(AF_UNIX, type)
        return cls(one, _name(AF_UNIX, type), scope), cls(other, _name(AF_UNIX, type), scope)

    @classmethod
    def connect(
        cls,
        to: Socket | Address,
        *,
        type: int | None = None,
        timeout: Timeout = DEFAULT,
        scope: Scope | None = None,
    ) -> Self:
        """Create a socket and connect it to a listener, a path, an abstract name or a host and port (connect(2)).

        *type* is the listener's by default, or else SOCK_STREAM. Raises TimeoutError if the peer does not accept the
        connection into its backlog within *timeout* seconds; OSError.
        """
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        family, kind, address = _where(to)
        made = cls(socket.socket(family, kind if type is None else type), _name(family, kind), scope)
        try:
            # No other process has the socket yet: here O_NONBLOCK affects only this call.
            made._socket.settimeout(0.0 if family == AF_UNIX else seconds and min(seconds, _LONGEST_TIMEOUT))
            with _reachable(address) as reachable:
                for _ in deadline.rounds():
                    try:
                        made._socket.connect(reachable)
                    except BlockingIOError:  # the backlog of a UNIX socket is full
                        continue
                    break
                else:
                    what = f"room for a connection in the backlog of {_shown(address)}"
                    raise timed_out(seconds, what, lambda: "connect(2) fails with EAGAIN")
                if family != AF_UNIX and seconds is not None:
                    # A non-blocking connection counts as in progress until connect(2) is repeated.
                    made._socket.connect(reachable)
            made._socket.settimeout(None)
        except BaseException as error:
            made.close()
            if isinstance(error, OSError) and error.errno is not None:
                error.add_note(f"while connecting to {_shown(address)}")
            raise
        return made

    @property
    def socket(self) -> socket.socket:
        """The stdlib's socket. ValueError once it is closed."""
        self._usable()
        return self._socket

    @property
    def address(self) -> Any:
        """The stdlib's getsockname(): "" for an unnamed UNIX socket, bytes for an abstract name (getsockname(2))."""
        return self.socket.getsockname()

    def send(
        self,
        data: bytes,
        *,
        to: Any = None,
        fds: Sequence[int | End] = (),
        credentials: Ucred | None = None,
        flags: int = 0,
        timeout: Timeout = DEFAULT,
    ) -> int:
        """Send *data*, with descriptors (SCM_RIGHTS) and credentials if given; return the number of bytes (sendmsg(2)).

        Raises TimeoutError if there is no space within *timeout* seconds; OSError.
        """
        ancillary: list[tuple[int, int, Any]] = []
        if fds:
            numbers = array("i", (fd.fileno() if isinstance(fd, End) else fd for fd in fds))
            ancillary.append((SOL_SOCKET, SCM_RIGHTS, numbers))
        if credentials is not None:
            ancillary.append((SOL_SOCKET, SCM_CREDENTIALS, credentials.pack()))
        where = to.address if isinstance(to, Socket) else to

        def once() -> int:
            return self.socket.sendmsg([data], ancillary, flags | MSG_DONTWAIT, where)

        try:
            return self._within(timeout, once, "room to send in", "sendmsg(2) fails with EAGAIN")
        except OSError as error:
            if error.errno == EINVAL and len(fds) > SCM_MAX_FD:
                error.add_note(f"a message has at most {SCM_MAX_FD} descriptors (SCM_MAX_FD), not {len(fds)}")
            raise

    def read(self, size: int = 65536, *, timeout: Timeout = DEFAULT) -> bytes:
        """Receive data as receive() does."""
        return self.receive(size, timeout=timeout)

    def write(self, data: bytes, *, timeout: Timeout = DEFAULT) -> int:
        """Send data as send() does."""
        return self.send(data, timeout=timeout)

    def receive(self, size: int = 65536, *, flags: int = 0, timeout: Timeout = DEFAULT) -> bytes:
        """Return up to *size* bytes, none if the peer has shut down (recv(2)).

        Raises TimeoutError after *timeout* seconds; OSError.
        """
        return self._within(
            timeout,
            lambda: self.socket.recv(size, flags | MSG_DONTWAIT),
            "data from",
            "nothing is there to receive",
            self.fileno(),
        )

    def receive_message(
        self, size: int = 65536, *, fds: int = 0, flags: int = 0, timeout: Timeout = DEFAULT
    ) -> Message:
        """Return a message with its address, credentials if passed, and up to *fds* descriptors (recvmsg(2)).

        The descriptors are closed with the scope. Raises TimeoutError after *timeout* seconds; OSError.
        """
        if isinstance(fds, bool) or not isinstance(fds, int) or fds < 0:
            raise ValueError(f"fds must be a non-negative number of descriptors, not {fds!r}")
        room = CMSG_SPACE(Ucred.SIZE) + CMSG_SPACE(4) + (CMSG_SPACE(4 * fds) if fds else 0)
        flags |= MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        data, ancillary, received_flags, address = self._within(
            timeout,
            lambda: self.socket.recvmsg(size, room, flags),
            "data from",
            "nothing is there to receive",
            self.fileno(),
        )
        message = Message(data, received_flags, address)
        for level, kind, value in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                numbers = struct.unpack(f"={len(value) // 4}i", value[: len(value) // 4 * 4])
                message.fds += [self._received(fd) for fd in numbers]
            elif level == SOL_SOCKET and kind == SCM_CREDENTIALS:
                message.credentials = Ucred.unpack(value)
            elif level == SOL_SOCKET and kind == SCM_PIDFD:
                message.pidfd = self._received(struct.unpack("=i", value)[0])
        return message

    def pass_credentials(self, on: bool = True) -> None:
        """Enable or disable credentials of the sender in messages (SO_PASSCRED, unix(7)). Raises OSError."""
        self.socket.setsockopt(SOL_SOCKET, SO_PASSCRED, on)

    def pass_pidfd(self, on: bool = True) -> None:
        """Enable or disable a pidfd of the sender in messages (SO_PASSPIDFD, Linux 6.5).

        Raises OSError (ENOPROTOOPT before Linux 6.5).
        """
        self.socket.setsockopt(SOL_SOCKET, SO_PASSPIDFD, on)

    def peer_credentials(self) -> Ucred:
        """Return the credentials of the peer at the time of the connection (SO_PEERCRED, unix(7)). Raises OSError."""
        return peer_credentials(self.fileno())

    def peer_groups(self) -> list[int]:
        """Return the supplementary groups of the process of peer_credentials() (SO_PEERGROUPS, Linux 4.13). OSError."""
        return peer_groups(self.fileno())

    def peer_pidfd(self) -> End:
        """Return a pidfd for the process of peer_credentials() (SO_PEERPIDFD, Linux 6.5).

        Raises OSError (ENOPROTOOPT before Linux 6.5).
        """
        return self._received(peer_pidfd(self.fileno()))

    def shutdown(self, how: int = SHUT_WR) -> None:
        """Shut down one direction, or both, for every process that has the socket (shutdown(2)). Raises OSError."""
        self.socket.shutdown(how)

    def _received(self, fd: int) -> End:
        return End(fd, f"descriptor that came through the {self._name}", self._scope)

    def _within(
        self, timeout: Timeout, ask: Callable[[], Given], what: str, state: str, readable: int | None = None
    ) -> Given:
        """Return the result of *ask* once it does not block; poll *readable* before each further attempt."""
        seconds = check_timeout(timeout)
        for _ in Deadline(seconds).rounds(readable):
            try:
                return ask()
            except BlockingIOError:
                continue
        raise timed_out(seconds, f"{what} {self!r}", lambda: state)

    def _end(self) -> None:
        self._close_fd()

    def _close_fd(self) -> None:
        self._socket.close()


def _where(to: Socket | Address) -> tuple[int, int, Any]:
    """Return family, type and address of the target of a connection."""
    if isinstance(to, Socket):
        return to.socket.family, to.socket.type, getattr(to, "path", None) or to.address
    if isinstance(to, tuple):
        return (socket.AF_INET6 if ":" in str(to[0]) else socket.AF_INET), SOCK_STREAM, to
    if isinstance(to, (str, bytes, os.PathLike)):
        return AF_UNIX, SOCK_STREAM, to
    raise TypeError(f"to must be a listener, a path, an abstract name or a host and port, not {to!r}")


def is_abstract(address: object) -> bool:
    """Return whether a UNIX address is an abstract name and not a path."""
    return isinstance(address, (str, bytes)) and address[:1] in ("\0", b"\0")


@contextmanager
def _reachable(address: Any) -> Iterator[Any]:
    if isinstance(address, tuple) or is_abstract(address):
        yield address
    else:
        with short_enough(address) as path:
            yield path


@contextmanager
def short_enough(path: str | bytes | os.PathLike[str]) -> Iterator[bytes]:
    """Yield a name of *path* that fits struct sockaddr_un: for a long path, one through its directory's descriptor."""
    name = os.fsencode(path)
    if len(name) < SUN_PATH_BYTES:
        yield name
        return
    folder = os.open(os.path.dirname(name) or b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield b"/proc/self/fd/%d/%s" % (folder, os.path.basename(name))
    finally:
        os.close(folder)


def _shown(address: Any) -> str:
    return repr(address) if isinstance(address, bytes) or is_abstract(address) else plain(address)


def _name(family: int, type: int) -> str:
    """Return the description of a socket for people."""
    kinds: dict[int, str] = {SOCK_STREAM: "stream", socket.SOCK_DGRAM: "datagram", socket.SOCK_SEQPACKET: "seqpacket"}
    families: dict[int, str] = {AF_UNIX: "UNIX", socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
    kind = type & 0xF
    return f"{families.get(family, f'family {family}')} {kinds.get(kind, f'type {kind}')} socket"
