"""Sockets beyond the stdlib: EINTR visible, addresses as raw bytes, credentials of the peer.

The stdlib's socket has nearly every call, but it retries after EINTR, converts addresses, and lacks the options of
Linux 4.13 and 6.5. sendmsg(2), recvmsg(2) and the rest are the stdlib's.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_void_p, create_string_buffer
from dataclasses import dataclass
from errno import ERANGE
from socket import AF_UNIX, SO_PEERCRED, SOL_SOCKET
from typing import Self

from ..unpatched import os
from .libc import INT, SIZE, UINT, check_integer, function

__all__ = [
    "SCM_MAX_FD",
    "SCM_PIDFD",
    "SO_PASSPIDFD",
    "SO_PASSRIGHTS",
    "SO_PEEK_OFF",
    "SO_PEERGROUPS",
    "SO_PEERPIDFD",
    "SUN_PATH_BYTES",
    "Ucred",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "peer_credentials",
    "peer_groups",
    "peer_pidfd",
    "recv",
    "send",
    "socketpair",
    "unix_address",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Options above 21 have the same number on every machine of the tables.
SO_PEEK_OFF = 42
SO_PEERGROUPS = 59
SO_PASSPIDFD = 76
SO_PEERPIDFD = 77
SO_PASSRIGHTS = 83
SCM_PIDFD = 4
SCM_MAX_FD = 253
SUN_PATH_BYTES = 108

_socketpair = function("socketpair", c_int, c_int, c_int, c_int, c_void_p)
_bind = function("bind", c_int, c_int, c_char_p, c_uint)
_connect = function("connect", c_int, c_int, c_char_p, c_uint)
_accept4 = function("accept4", c_int, c_int, c_void_p, c_void_p, c_int)
_getsockname = function("getsockname", c_int, c_int, c_void_p, c_void_p)
_getpeername = function("getpeername", c_int, c_int, c_void_p, c_void_p)
_getsockopt = function("getsockopt", c_int, c_int, c_int, c_int, c_void_p, c_void_p)
_recv = function("recv", c_ssize_t, c_int, c_void_p, c_size_t, c_int)
_send = function("send", c_ssize_t, c_int, c_char_p, c_size_t, c_int)

_UCRED = struct.Struct("=iII")


@dataclass(frozen=True, slots=True)
class Ucred:
    """struct ucred (unix(7)): the credentials of a process as the kernel, or a privileged sender, gives them."""

    pid: int
    uid: int
    gid: int

    SIZE = _UCRED.size

    @classmethod
    def own(cls) -> Self:
        """Return the credentials that the kernel sends for this process by default: the real ids."""
        return cls(os.getpid(), os.getuid(), os.getgid())

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Return the credentials in an option or a control message. ValueError if *data* is too short."""
        if len(data) < cls.SIZE:
            raise ValueError(f"struct ucred must have at least {cls.SIZE} bytes, not {len(data)}")
        return cls(*_UCRED.unpack_from(data))

    def pack(self) -> bytes:
        """Return the data of a control message."""
        check_integer("ucred.pid", self.pid, INT)
        check_integer("ucred.uid", self.uid, UINT)
        check_integer("ucred.gid", self.gid, UINT)
        return _UCRED.pack(self.pid, self.uid, self.gid)


def unix_address(path: bytes) -> bytes:
    """Return a struct sockaddr_un with exactly *path* in sun_path, without adding or interpreting a NUL (unix(7))."""
    return AF_UNIX.to_bytes(2, sys.byteorder) + path


def socketpair(family: int, type: int, protocol: int = 0, sv: int | None = None) -> tuple[int, int]:
    """Create two connected sockets and return their descriptors (socketpair(2)). OSError.

    *sv* is the address of the two integers that the call fills, for tests that check them.
    """
    if sv is not None:
        check_integer("socketpair", sv, SIZE)
    fds = (c_int * 2)() if sv is None else (c_int * 2).from_address(sv)
    _socketpair(family, type, protocol, byref(fds))
    return fds[0], fds[1]


def bind(fd: int, address: bytes) -> None:
    """Bind a socket to *address*, family included, as unix_address() returns it (bind(2)). OSError."""
    _bind(fd, address, len(address))


def connect(fd: int, address: bytes) -> None:
    """Connect a socket to *address*, family included (connect(2)). OSError, EINTR included."""
    _connect(fd, address, len(address))


def accept4(fd: int, flags: int = 0) -> int:
    """Accept a connection and return its descriptor (accept4(2)). OSError, EINTR included."""
    result: int = _accept4(fd, None, None, flags)
    return result


def getsockname(fd: int, room: int = 128) -> tuple[bytes, int]:
    """Return the bytes written to a buffer of *room* bytes, and the length of the address (getsockname(2)). OSError."""
    return _name(_getsockname, fd, room)


def getpeername(fd: int, room: int = 128) -> tuple[bytes, int]:
    """Return the bytes written to a buffer of *room* bytes, and the length of the address (getpeername(2)). OSError."""
    return _name(_getpeername, fd, room)


def _name(call: Callable[..., int], fd: int, room: int) -> tuple[bytes, int]:
    check_integer("getsockname", room, UINT)
    buffer, length = create_string_buffer(room), c_uint(room)
    call(fd, buffer, byref(length))
    return buffer.raw[: min(room, length.value)], length.value


def getsockopt(fd: int, level: int, option: int, room: int = 4) -> bytes:
    """Return the bytes written to a buffer of *room* bytes (getsockopt(2)). OSError.

    The stdlib's getsockopt() allows at most 1024 bytes.
    """
    check_integer("getsockopt", room, UINT)
    buffer, length = create_string_buffer(room), c_uint(room)
    _getsockopt(fd, level, option, buffer, byref(length))
    return buffer.raw[: length.value]


def recv(fd: int, count: int, flags: int = 0) -> bytes:
    """Receive up to *count* bytes (recv(2)). OSError, EINTR included."""
    buffer = create_string_buffer(count)
    taken = _recv(fd, buffer, count, flags)
    return buffer.raw[:taken]


def send(fd: int, data: bytes, flags: int = 0) -> int:
    """Send *data* and return the number of bytes sent (send(2)). OSError, EINTR included.

    Without MSG_NOSIGNAL a broken connection raises SIGPIPE as well.
    """
    result: int = _send(fd, data, len(data), flags)
    return result


def peer_credentials(fd: int) -> Ucred:
    """Return the credentials of the peer at connect(2) or socketpair(2) (unix(7), SO_PEERCRED). OSError."""
    return Ucred.unpack(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, Ucred.SIZE))


def peer_groups(fd: int) -> list[int]:
    """Return the supplementary groups of the peer at that time (SO_PEERGROUPS, Linux 4.13). OSError."""
    room = 4 * 256
    while True:
        try:
            data = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, room)
        except OSError as error:
            if error.errno != ERANGE or room > 4 * 65536:  # NGROUPS_MAX
                raise
            room *= 256
        else:
            return list(struct.unpack(f"={len(data) // 4}I", data))


def peer_pidfd(fd: int) -> int:
    """Return a new pidfd for the process of peer_credentials() (SO_PEERPIDFD, Linux 6.5). OSError."""
    data = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, 4)
    return int(struct.unpack("=i", data)[0])
