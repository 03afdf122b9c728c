"""Channels of bytes: pipes, FIFOs, UNIX stream sockets, TCP on the loopback interface."""

from __future__ import annotations

import os
from socket import IPPROTO_TCP, MSG_WAITALL, TCP_NODELAY, socket

from ...resources.socket import Socket
from .channel import BUILTIN, Channel, End, Setting

__all__ = ["open_fifo", "open_inet", "open_pipe", "open_unix_stream"]

_PIPE = 65536  # bytes that a pipe holds by default, and the most that one read returns


def open_pipe(setting: Setting) -> Channel:
    """Two pipes, one for each direction (pipe(7))."""
    there, back = setting.ipc.pipe(), setting.ipc.pipe()
    return _of_descriptors(setting, (there.read_fd, there.write_fd), (back.read_fd, back.write_fd))


def open_fifo(setting: Setting) -> Channel:
    """Two FIFOs, one for each direction (fifo(7))."""
    ends = []
    for _ in range(2):
        path = setting.ipc.fifo().path
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # does not wait for a writer
        setting.undo.callback(os.close, reader)
        writer = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        setting.undo.callback(os.close, writer)
        os.set_blocking(reader, True)
        ends.append((reader, writer))
    return _of_descriptors(setting, *ends)


def _of_descriptors(setting: Setting, there: tuple[int, int], back: tuple[int, int]) -> Channel:
    pieces = -(-setting.size // _PIPE)
    return Channel(
        _descriptor_end(back[0], there[1], setting.message),
        _descriptor_end(there[0], back[1], setting.message),
        {BUILTIN: 1},
        {BUILTIN: pieces},
        pieces,
    )


def _descriptor_end(reader: int, writer: int, message: bytes) -> End:
    size, buffer, out = len(message), memoryview(bytearray(len(message))), memoryview(message)
    whole = [buffer]
    read, write = os.readv, os.write

    def send() -> None:
        done = write(writer, out)
        while done < size:
            done += write(writer, out[done:])

    def receive() -> None:
        done = read(reader, whole)
        while done < size:
            got = read(reader, [buffer[done:]])
            if not got:
                raise EOFError("the other process has closed its end")
            done += got

    return End(send, receive, lambda: bytes(buffer))


def open_unix_stream(setting: Setting) -> Channel:
    """A pair of UNIX stream sockets (unix(7))."""
    ours, peers = setting.ipc.sockets.pair()
    return _of_sockets(setting, ours, peers)


def open_inet(setting: Setting) -> Channel:
    """A TCP connection over the loopback interface, without Nagle's delay (tcp(7))."""
    listener = setting.ipc.sockets.listen_inet()
    ours = setting.ipc.sockets.connect(listener)
    peers = listener.accept()
    for end in (ours, peers):
        end.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return _of_sockets(setting, ours, peers)


def _of_sockets(setting: Setting, ours: Socket, peers: Socket) -> Channel:
    calls = {BUILTIN: 1}
    return Channel(_socket_end(ours.socket, setting.message), _socket_end(peers.socket, setting.message), calls, calls)


def _socket_end(sock: socket, message: bytes) -> End:
    size, buffer, out = len(message), memoryview(bytearray(len(message))), memoryview(message)
    take, put = sock.recv_into, sock.send

    def send() -> None:
        done = put(out)
        while done < size:
            done += put(out[done:])

    def receive() -> None:
        done = take(buffer, size, MSG_WAITALL)
        while done < size:
            got = take(buffer[done:], size - done, MSG_WAITALL)
            if not got:
                raise EOFError("the other process has closed its end")
            done += got

    return End(send, receive, lambda: bytes(buffer))
