"""Sockets as objects: the stdlib's, owned, and with deadlines that do not change the blocking mode.

A time-out of the stdlib's sets O_NONBLOCK, which belongs to the open file description: every process that shares the
socket would find it changed. So each call here asks without blocking (MSG_DONTWAIT) until the time is over, and
`socket` gives the stdlib's object for everything else.
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
from ..resource import DEFAULT, Timeout, check_timeout, timed_out
from ..unpatched import os, socket
from .pipe import End

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Message", "Socket"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Given = TypeVar("Given")
Address = str | bytes | os.PathLike[str] | tuple[Any, ...]


@dataclass
class Message:
    """What one recvmsg(2) gave: the data, and what came beside it."""

    data: bytes
    flags: int = 0
    address: Any = None
    fds: list[End] = field(default_factory=list)
    credentials: Ucred | None = None
    pidfd: End | None = None


# Seconds that Python's sockets wait at most: some 30 years.
_LONGEST_TIMEOUT = 1e9


class Socket(End):
    """A socket (socket(7), unix(7), ip(7)); `socket` is the stdlib's object. Closed when its block or scope ends."""

    def __init__(self, sock: socket.socket, name: str, scope: Scope | None = None) -> None:
        if sock.gettimeout():  # socket.setdefaulttimeout() has made it so; 0 is what SOCK_NONBLOCK asked for
            sock.settimeout(None)
        self._socket = sock
        super().__init__(sock.fileno(), name, scope)

    @classmethod
    def create(
        cls, family: int = AF_UNIX, type: int = SOCK_STREAM, protocol: int = 0, *, scope: Scope | None = None
    ) -> Self:
        """socket(2): a new socket, neither bound nor connected. OSError."""
        return cls(socket.socket(family, type, protocol), _name(family, type), scope)

    @classmethod
    def pair(cls, type: int = SOCK_STREAM, *, scope: Scope | None = None) -> tuple[Self, Self]:
        """socketpair(2): two UNIX sockets of *type* (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET) that are connected.

        OSError.
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
        """connect(2): a socket of *type* that is connected to a listener, a path, an abstract name or a host and port.

        The type is the listener's, or else SOCK_STREAM. TimeoutError when the other side has not taken the connection
        into its backlog within *timeout* seconds; OSError.
        """
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        family, kind, address = _where(to)
        made = cls(socket.socket(family, kind if type is None else type), _name(family, kind), scope)
        try:
            # The socket is nobody else's yet: here O_NONBLOCK is for this call alone.
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
                    # Made without blocking, a connection counts as one that is on its way until it is asked for again.
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
        """getsockname(2), as the stdlib has it: "" for an unnamed UNIX socket, bytes for an abstract name."""
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
        """sendmsg(2): how many bytes went out, with descriptors (SCM_RIGHTS) and credentials beside them if any are given.

        TimeoutError when there was no room within *timeout* seconds; OSError.
        """
        beside: list[tuple[int, int, Any]] = []
        if fds:
            numbers = array("i", (fd.fileno() if isinstance(fd, End) else fd for fd in fds))
            beside.append((SOL_SOCKET, SCM_RIGHTS, numbers))
        if credentials is not None:
            beside.append((SOL_SOCKET, SCM_CREDENTIALS, credentials.pack()))
        where = to.address if isinstance(to, Socket) else to

        def once() -> int:
            return self.socket.sendmsg([data], beside, flags | MSG_DONTWAIT, where)

        try:
            return self._within(timeout, once, "room to send in", "sendmsg(2) fails with EAGAIN")
        except OSError as error:
            if error.errno == EINVAL and len(fds) > SCM_MAX_FD:
                error.add_note(f"a message has at most {SCM_MAX_FD} descriptors (SCM_MAX_FD), not {len(fds)}")
            raise

    def read(self, size: int = 65536, *, timeout: Timeout = DEFAULT) -> bytes:
        """As receive()."""
        return self.receive(size, timeout=timeout)

    def write(self, data: bytes, *, timeout: Timeout = DEFAULT) -> int:
        """As send()."""
        return self.send(data, timeout=timeout)

    def receive(self, size: int = 65536, *, flags: int = 0, timeout: Timeout = DEFAULT) -> bytes:
        """recv(2): up to *size* bytes, none when the other side has shut down.

        TimeoutError when nothing came; OSError.
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
        """recvmsg(2): a message with its address, credentials if they are passed, and room for *fds* descriptors.

        The descriptors are closed with the scope. TimeoutError when nothing came within *timeout* seconds; OSError.
        """
        if isinstance(fds, bool) or not isinstance(fds, int) or fds < 0:
            raise ValueError(f"fds must be a non-negative number of descriptors, not {fds!r}")
        room = CMSG_SPACE(Ucred.SIZE) + CMSG_SPACE(4) + (CMSG_SPACE(4 * fds) if fds else 0)
        flags |= MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        data, beside, told, address = self._within(
            timeout,
            lambda: self.socket.recvmsg(size, room, flags),
            "data from",
            "nothing is there to receive",
            self.fileno(),
        )
        message = Message(data, told, address)
        for level, kind, value in beside:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                numbers = struct.unpack(f"={len(value) // 4}i", value[: len(value) // 4 * 4])
                message.fds += [self._received(fd) for fd in numbers]
            elif level == SOL_SOCKET and kind == SCM_CREDENTIALS:
                message.credentials = Ucred.unpack(value)
            elif level == SOL_SOCKET and kind == SCM_PIDFD:
                message.pidfd = self._received(struct.unpack("=i", value)[0])
        return message

    def pass_credentials(self, on: bool = True) -> None:
        """SO_PASSCRED (unix(7)): whether messages come with their sender's credentials. OSError."""
        self.socket.setsockopt(SOL_SOCKET, SO_PASSCRED, on)

    def pass_pidfd(self, on: bool = True) -> None:
        """SO_PASSPIDFD (Linux 6.5): whether messages come with a descriptor for their sender.

        OSError (ENOPROTOOPT before).
        """
        self.socket.setsockopt(SOL_SOCKET, SO_PASSPIDFD, on)

    def peer_credentials(self) -> Ucred:
        """SO_PEERCRED (unix(7)): who is at the other end, as it was when the connection was made. OSError."""
        return peer_credentials(self.fileno())

    def peer_groups(self) -> list[int]:
        """SO_PEERGROUPS (Linux 4.13): the supplementary groups of whom peer_credentials() tells. OSError."""
        return peer_groups(self.fileno())

    def peer_pidfd(self) -> End:
        """SO_PEERPIDFD (Linux 6.5): a descriptor for the process of whom peer_credentials() tells.

        OSError (ENOPROTOOPT before).
        """
        return self._received(peer_pidfd(self.fileno()))

    def shutdown(self, how: int = SHUT_WR) -> None:
        """shutdown(2): end one direction, or both, for every process that holds the socket. OSError."""
        self.socket.shutdown(how)

    def _received(self, fd: int) -> End:
        return End(fd, f"descriptor that came through the {self._name}", self._scope)

    def _within(
        self, timeout: Timeout, ask: Callable[[], Given], what: str, state: str, readable: int | None = None
    ) -> Given:
        """What *ask* gives as soon as it would not block; *readable* is the descriptor that tells when to ask again."""
        seconds = check_timeout(timeout)
        for _ in Deadline(seconds).rounds(readable):
            try:
                return ask()
            except BlockingIOError:
                continue
        raise timed_out(seconds, f"{what} {self!r}", lambda: state)

    def _end(self) -> None:
        self._socket.close()


def _where(to: Socket | Address) -> tuple[int, int, Any]:
    """Family, type and address of what is to be connected to."""
    if isinstance(to, Socket):
        return to.socket.family, to.socket.type, getattr(to, "path", None) or to.address
    if isinstance(to, tuple):
        return (socket.AF_INET6 if ":" in str(to[0]) else socket.AF_INET), SOCK_STREAM, to
    if isinstance(to, (str, bytes, os.PathLike)):
        return AF_UNIX, SOCK_STREAM, to
    raise TypeError(f"a listener, a path, an abstract name or a host and port is needed to connect to, not {to!r}")


def is_abstract(address: object) -> bool:
    """Whether a UNIX address is an abstract name and no path."""
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
    """A name of *path* that fits struct sockaddr_un: where it is too long itself, one that begins at its directory."""
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
    """What people call such a socket."""
    kinds: dict[int, str] = {SOCK_STREAM: "stream", socket.SOCK_DGRAM: "datagram", socket.SOCK_SEQPACKET: "seqpacket"}
    families: dict[int, str] = {AF_UNIX: "UNIX", socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
    kind = type & 0xF
    return f"{families.get(family, f'family {family}')} {kinds.get(kind, f'type {kind}')} socket"
