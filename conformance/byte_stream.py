"""The common model of pipes and FIFOs: bytes in order, ends that open and close, atomic writes of up to PIPE_BUF bytes.

The manual specifies the capacity only for an empty pipe: Linux counts buffers, not bytes. Beside unread bytes the model
accepts any partial write that the kernel chooses, as long as small writes are atomic.
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

# Sizes around the limits at which behaviour changes, for pages of 4096 bytes.
COUNTS = (1, 2, 100, PIPE_BUF - 1, PIPE_BUF, PIPE_BUF + 1, 2 * PIPE_BUF, 20_000)


@dataclass
class Stream:
    """The state of a pipe in the model."""

    capacity: int
    unread: bytes = b""
    readers: dict[str, int] = field(default_factory=dict)  # descriptors, by their names in the history
    writers: dict[str, int] = field(default_factory=dict)


class StreamModel(Model):
    """Calls on non-blocking ends, compared with the model. SIGPIPE must be ignored."""

    sent = 0

    def write_to(self, stream: Stream, name: str, count: int) -> None:
        """Write *count* bytes that differ from the previous ones (write(2))."""
        data = bytes((self.sent + n) % 251 for n in range(count))
        self.sent += count
        came: list[int] = []

        def kernel() -> int:
            came.append(write(stream.writers[name], data))
            return came[0]

        def model() -> int:
            space = stream.capacity - len(stream.unread)
            if not stream.readers:
                fails(EPIPE)
            if count <= PIPE_BUF:
                # Atomic: all or nothing, and all if the pipe is empty.
                done = count if (came or not stream.unread) and count <= space else 0
            elif not stream.unread:
                done = min(count, space)
            else:
                done = came[0] if came and 0 < came[0] <= space else 0
            if not done:
                fails(EAGAIN)
            stream.unread += data[:done]
            return done

        self.same(f"write({name}, {count})", kernel, model)

    def read_from(self, stream: Stream, name: str, count: int) -> None:
        """Read at most *count* bytes (read(2))."""

        def model() -> bytes:
            if not stream.unread and stream.writers:
                fails(EAGAIN)
            data, stream.unread = stream.unread[:count], stream.unread[count:]
            return data

        self.same(f"read({name}, {count})", lambda: Bytes(read(stream.readers[name], count)), lambda: Bytes(model()))

    def close_end(self, ends: dict[str, int], name: str) -> None:
        """Close an end (close(2))."""
        self.same(f"close({name})", partial(os.close, ends[name]), lambda: None)
        del ends[name]

    def notices(self, stream: Stream) -> None:
        """Compare FIONREAD and poll(2) of every end; POLLHUP of a FIFO's reader is not specified in every case."""
        for name, fd in stream.readers.items():
            self.sees(f"FIONREAD of {name}", partial(unread, fd), partial(len, stream.unread))
            self.sees(f"POLLIN of {name}", partial(ready, fd, select.POLLIN), partial(bool, stream.unread))
        for name, fd in stream.writers.items():
            self.sees(f"POLLERR of {name}", partial(ready, fd, select.POLLERR), partial(bool, not stream.readers))


class Bytes:
    """Bytes that are shown abbreviated if long."""

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
    """Return the number of unread bytes (ioctl(2), FIONREAD)."""
    number = bytearray(4)
    ioctl(fd, FIONREAD, number)
    return int.from_bytes(number, sys.byteorder)


def ready(fd: int, event: int) -> bool:
    """Return whether poll(2) reports *event* for the descriptor, without waiting."""
    poll = select.poll()
    poll.register(fd, event)
    return any(events & event for _, events in poll.poll(0))
