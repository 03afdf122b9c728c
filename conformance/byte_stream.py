"""What a pipe and a FIFO are to their models: bytes in order, ends that open and close, and an atomic write at most PIPE_BUF long.

How much room there is, the pages say only for an empty pipe: Linux counts buffers and not bytes, so what fits beside unread
bytes is left to the kernel as long as it keeps to all or nothing.
"""

from __future__ import annotations

import os
import select
import sys
from dataclasses import dataclass, field
from errno import EAGAIN, EPIPE
from fcntl import ioctl
from functools import partial
from termios import FIONREAD

from pytest_ipc.kernel import PIPE_BUF, read, write

from .model import Model, fails

# Around the sizes at which something changes; of pages of 4096 bytes that is all of them, of larger ones the most.
COUNTS = (1, 2, 100, PIPE_BUF - 1, PIPE_BUF, PIPE_BUF + 1, 2 * PIPE_BUF, 20_000)


@dataclass
class Stream:
    """A pipe as the model has it."""

    capacity: int
    unread: bytes = b""
    readers: dict[str, int] = field(default_factory=dict)  # descriptors, by the names they have in the history
    writers: dict[str, int] = field(default_factory=dict)


class StreamModel(Model):
    """Calls on non-blocking ends, with their outcome by the model. SIGPIPE must be ignored."""

    sent = 0

    def write_to(self, stream: Stream, name: str, count: int) -> None:
        """write(2) of *count* bytes that have not been written before."""
        data = bytes((self.sent + n) % 251 for n in range(count))
        self.sent += count
        came: list[int] = []

        def kernel() -> int:
            came.append(write(stream.writers[name], data))
            return came[0]

        def model() -> int:
            room = stream.capacity - len(stream.unread)
            if not stream.readers:
                fails(EPIPE)
            if count <= PIPE_BUF:
                # Whole or not at all; whole for certain if there is nothing in the way.
                done = count if (came or not stream.unread) and count <= room else 0
            elif not stream.unread:
                done = min(count, room)
            else:
                done = came[0] if came and 0 < came[0] <= room else 0
            if not done:
                fails(EAGAIN)
            stream.unread += data[:done]
            return done

        self.same(f"write({name}, {count})", kernel, model)

    def read_from(self, stream: Stream, name: str, count: int) -> None:
        """read(2) of at most *count* bytes."""

        def model() -> bytes:
            if not stream.unread and stream.writers:
                fails(EAGAIN)
            data, stream.unread = stream.unread[:count], stream.unread[count:]
            return data

        self.same(f"read({name}, {count})", lambda: Bytes(read(stream.readers[name], count)), lambda: Bytes(model()))

    def close_end(self, ends: dict[str, int], name: str) -> None:
        """close(2) of an end."""
        self.same(f"close({name})", partial(os.close, ends[name]), lambda: None)
        del ends[name]

    def notices(self, stream: Stream) -> None:
        """What FIONREAD and poll(2) say of every end. When a FIFO's reader is hung up on, the pages do not say for each case."""
        for name, fd in stream.readers.items():
            self.sees(f"FIONREAD of {name}", partial(unread, fd), partial(len, stream.unread))
            self.sees(f"POLLIN of {name}", partial(ready, fd, select.POLLIN), partial(bool, stream.unread))
        for name, fd in stream.writers.items():
            self.sees(f"POLLERR of {name}", partial(ready, fd, select.POLLERR), partial(bool, not stream.readers))


class Bytes:
    """Bytes that are told by their number when they are many."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bytes) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return (
            repr(self.data)
            if len(self.data) <= 8
            else f"{len(self.data)} bytes, {self.data[:4]!r} to {self.data[-4:]!r}"
        )


def unread(fd: int) -> int:
    """ioctl(2) FIONREAD."""
    number = bytearray(4)
    ioctl(fd, FIONREAD, number)
    return int.from_bytes(number, sys.byteorder)


def ready(fd: int, event: int) -> bool:
    """Whether poll(2), without waiting, reports *event* of the descriptor."""
    poll = select.poll()
    poll.register(fd, event)
    return any(events & event for _, events in poll.poll(0))
