"""Channels of messages with a maximum size: datagram and seqpacket sockets, System V and POSIX queues.

A longer message is sent in pieces of that size.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from ctypes import addressof, c_int, c_long, c_size_t, c_uint, c_void_p, create_string_buffer, sizeof
from errno import EMSGSIZE, ENOBUFS
from socket import SOCK_DGRAM, SOCK_SEQPACKET, SocketKind, socket

from ...kernel.msg import msgctl_limits, msgctl_stat
from .channel import BUILTIN, NATIVE, Channel, End, Setting
from .native_calls import check_again, pointer

__all__ = ["open_posix_queue", "open_seqpacket", "open_sysv_queue", "open_unix_datagram"]

# Bytes of the longest datagram that is tried: the default send buffer of Linux holds three.
_DATAGRAM = 65536

_LEAST = 1024  # bytes: no socket refuses these


def open_unix_datagram(setting: Setting) -> Channel:
    """A pair of UNIX datagram sockets (unix(7))."""
    return _of_sockets(setting, SOCK_DGRAM)


def open_seqpacket(setting: Setting) -> Channel:
    """A pair of UNIX sockets with connections and message boundaries (unix(7))."""
    return _of_sockets(setting, SOCK_SEQPACKET)


def _of_sockets(setting: Setting, kind: SocketKind) -> Channel:
    ours, peers = setting.ipc.sockets.pair(kind)
    longest = _longest_datagram(ours.socket, peers.socket, min(setting.size, _DATAGRAM))
    pieces = -(-setting.size // longest)
    calls = {BUILTIN: pieces}
    our_end, peers_end = (_socket_end(end.socket, setting.message, longest) for end in (ours, peers))
    return Channel(our_end, peers_end, calls, calls, pieces)


def _longest_datagram(one: socket, other: socket, size: int) -> int:
    """Return *size*, or the half, quarter, … of it that the sockets accept. OSError."""
    while True:
        try:
            one.send(bytes(size))
        except OSError as error:
            if error.errno not in (EMSGSIZE, ENOBUFS) or size <= _LEAST:
                raise
            size //= 2
        else:
            other.recv(size)
            return size


def _socket_end(sock: socket, message: bytes, longest: int) -> End:
    buffer = memoryview(bytearray(len(message)))
    outs, places = _parts(memoryview(message), longest), _parts(buffer, longest)
    put, take = sock.send, sock.recv_into

    def send() -> None:
        for part in outs:
            put(part)

    def receive() -> None:
        for place in places:
            take(place)

    return End(send, receive, lambda: bytes(buffer))


def _parts(view: memoryview, longest: int) -> list[memoryview]:
    return [view[start : start + longest] for start in range(0, len(view), longest)]


def open_sysv_queue(setting: Setting) -> Channel:
    """Two System V message queues, one for each direction (sysvipc(7))."""
    queues = [setting.ipc.sysv_msg() for _ in range(2)]
    longest = min(setting.size, 8192)  # the default of kernel.msgmax
    with suppress(OSError):  # a platform that does not report its limits
        longest = min(setting.size, msgctl_limits().msgmax, msgctl_stat(queues[0].id).qbytes)
    put, take = pointer("msgsnd", c_int), pointer("msgrcv")
    there, back = (c_int(queue.id) for queue in queues)
    header, flags, any_type = bytes(c_long(1)), c_int(0), c_long(0)
    length = [c_size_t(min(longest, setting.size - start)) for start in range(0, setting.size, longest)]

    def end(reader: c_int, writer: c_int) -> End:
        buffers = _Buffers(setting.message, longest, header)
        outs, places = list(zip(buffers.outs, length, strict=True)), list(zip(buffers.places, length, strict=True))

        def send() -> None:
            for address, size in outs:
                while put(writer, address, size, flags) == -1:
                    check_again("msgsnd")

        def receive() -> None:
            for address, size in places:
                while take(reader, address, size, any_type, flags) == -1:
                    check_again("msgrcv")

        return End(send, receive, buffers.received)

    calls = {NATIVE: len(length)}
    return Channel(end(back, there), end(there, back), calls, calls, len(length))


def open_posix_queue(setting: Setting) -> Channel:
    """Two POSIX message queues, one for each direction (mq_overview(7))."""
    longest = min(setting.size, 8192)  # the default of fs.mqueue.msgsize_max
    there, back = (setting.ipc.posix_mq(msgsize=longest).fileno() for _ in range(2))
    put, take = pointer("mq_send", c_int), pointer("mq_receive")
    length = [c_size_t(min(longest, setting.size - start)) for start in range(0, setting.size, longest)]
    priority, most, no_priority = c_uint(0), c_size_t(longest), c_void_p()

    def end(reader: c_int, writer: c_int) -> End:
        buffers = _Buffers(setting.message, longest, b"")
        outs = list(zip(buffers.outs, length, strict=True))

        def send() -> None:
            for address, size in outs:
                while put(writer, address, size, priority) == -1:
                    check_again("mq_send")

        def receive() -> None:
            for address in buffers.places:
                while take(reader, address, most, no_priority) == -1:
                    check_again("mq_receive")

        return End(send, receive, buffers.received)

    calls = {NATIVE: len(length)}
    one, other = c_int(there), c_int(back)
    return Channel(end(other, one), end(one, other), calls, calls, len(length))


class _Buffers:
    """The pieces of a message as a queue takes them, each after a *header*, and space for those of another."""

    def __init__(self, message: bytes, longest: int, header: bytes) -> None:
        self._longest, self._header, self._size = longest, len(header), len(message)
        self._step = -(-(len(header) + longest) // sizeof(c_long)) * sizeof(c_long)  # msgbuf begins with a long
        pieces = [message[start : start + longest] for start in range(0, len(message), longest)]
        laid_out = b"".join((header + piece).ljust(self._step, b"\0") for piece in pieces)
        self._kept = create_string_buffer(laid_out, len(laid_out))
        self._space = create_string_buffer(len(laid_out))
        self.outs: Sequence[c_void_p] = self._addresses(self._kept, len(pieces))
        self.places: Sequence[c_void_p] = self._addresses(self._space, len(pieces))
        self.received: Callable[[], bytes] = self._received

    def _addresses(self, buffer: ctypes.Array[ctypes.c_char], count: int) -> list[c_void_p]:
        start = addressof(buffer)
        return [c_void_p(start + number * self._step) for number in range(count)]

    def _received(self) -> bytes:
        raw = self._space.raw
        starts = range(self._header, len(raw), self._step)
        return b"".join(raw[start : start + self._longest] for start in starts)[: self._size]
