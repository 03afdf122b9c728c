"""Model of a pair of UNIX sockets: messages in order, and descriptors that stay open in transit (unix(7))."""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from dataclasses import dataclass, field
from errno import EAGAIN, ECONNRESET, EPIPE
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ..model import Model, fails

MOST = 4  # messages in transit in one direction, far fewer than the buffers hold
PIPES = ("P1", "P2")


@dataclass
class Message:
    """A message in transit, with the write ends of pipes that it carries."""

    text: bytes
    pipes: tuple[str, ...]


@dataclass
class End:
    """One end of the pair: its incoming messages, and whether more can come."""

    name: str
    socket: socket.socket
    queue: deque[Message] = field(default_factory=deque)
    ended: bool = False  # the other side sends no more
    closed: bool = False
    reset: bool = False  # the other side closed with unread data


class Pair(Model):
    """Two ends; and two pipes whose write ends are sent back and forth, and whose readers see whether one is still
    open."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.make()

    def make(self) -> None:
        """Create the ends and the pipes."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ends = End("a", first), End("b", second)
        for end in self.ends:
            end.socket.setblocking(False)
        self.readers: dict[str, int] = {}
        self.writers: dict[str, list[int]] = {}
        for name in PIPES:
            self.readers[name], write = os.pipe()
            self.writers[name] = [write]

    @precondition(lambda self: all(end.closed for end in self.ends))
    @rule()
    def start_over(self) -> None:
        """Create another pair and other pipes after both ends have been closed."""
        self.close_all()
        self.make()
        self.history.append("another pair")

    def other(self, end: End) -> End:
        """Return the other end."""
        return self.ends[1 - self.ends.index(end)]

    @precondition(lambda self: not all(end.closed for end in self.ends))
    @rule(data=st.data(), length=st.sampled_from((1, 3, 8)), pipes=st.sets(st.sampled_from(PIPES)))
    def send(self, data: Any, length: int, pipes: set[str]) -> None:
        """Send a message with one open write end of each of *pipes*."""
        end = self.one_of(data, [end for end in self.ends if not end.closed])
        target = self.other(end)
        if len(target.queue) >= MOST:
            return
        carried = tuple(sorted(name for name in pipes if self.writers[name]))
        fds = [self.writers[name][0] for name in carried]
        text = bytes((self.sent + n) % 251 for n in range(length))
        self.sent += 1

        def kernel() -> int:
            try:
                return socket.send_fds(end.socket, [text], fds, socket.MSG_NOSIGNAL)
            except ConnectionResetError:  # the manual does not say which of the two errors comes first
                assert end.reset, "send() must not fail with ECONNRESET: the other end had no unread data"
                end.reset = False
                fails(EPIPE)

        def model() -> int:
            if target.ended or target.closed:
                fails(EPIPE)
            target.queue.append(Message(text, carried))
            return length

        self.same(
            f"{end.name}: send({text!r}{''.join(f', {name}' for name in carried)})",
            kernel,
            model,
        )

    @precondition(lambda self: not all(end.closed for end in self.ends))
    @rule(data=st.data(), room=st.sampled_from((1, 100)))
    def receive(self, data: Any, room: int) -> None:
        """Receive the next message, as much as fits; the rest is lost."""
        end = self.one_of(data, [end for end in self.ends if not end.closed])
        got: list[int] = []

        def kernel() -> tuple[bytes, int]:
            text, fds, _, _ = socket.recv_fds(end.socket, room, len(PIPES))
            got.extend(fds)
            return text, len(fds)

        def model() -> tuple[bytes, int]:
            if end.reset:
                end.reset = False
                fails(ECONNRESET)
            if not end.queue:
                if not end.ended:
                    fails(EAGAIN)
                return b"", 0
            message = end.queue.popleft()
            for name, fd in zip(message.pipes, got, strict=True):
                self.writers[name].append(fd)
            return message.text[:room], len(message.pipes)

        self.same(f"{end.name}: recv({room} bytes)", kernel, model)

    @precondition(lambda self: any(self.writers.values()))
    @rule(data=st.data())
    def close_writer(self, data: Any) -> None:
        """Close a write end of a pipe."""
        name = self.one_of(data, [name for name, fds in self.writers.items() if fds])
        fd = self.writers[name].pop()
        self.same(f"close a write end of {name}", partial(os.close, fd), lambda: None)

    @precondition(lambda self: not all(end.closed for end in self.ends))
    @rule(data=st.data())
    def shut_down(self, data: Any) -> None:
        """Shut down the end for writing."""
        end = self.one_of(data, [end for end in self.ends if not end.closed])
        if self.other(end).closed:
            return

        def model() -> None:
            self.other(end).ended = True

        self.same(f"{end.name}: shutdown(SHUT_WR)", partial(end.socket.shutdown, socket.SHUT_WR), model)

    @precondition(lambda self: not all(end.closed for end in self.ends))
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """Close an end: its incoming messages are lost, with the descriptors they carry."""
        end = self.one_of(data, [end for end in self.ends if not end.closed])

        def model() -> None:
            other = self.other(end)
            end.closed = other.ended = True
            other.reset = other.reset or bool(end.queue)
            end.queue.clear()

        self.same(f"{end.name}: close()", end.socket.close, model)

    @invariant()
    def pipes_hang_up_as_in_model(self) -> None:
        """Compare POLLHUP of each pipe: set if no write end is open, neither in this process nor in transit."""
        for name, fd in self.readers.items():
            in_transit = any(name in message.pipes for end in self.ends for message in end.queue)
            expected = not self.writers[name] and not in_transit
            self.sees(f"POLLHUP of {name}", partial(hung_up, fd), partial(bool, expected))

    def close_all(self) -> None:
        """Close everything that is open."""
        for end in self.ends:
            end.socket.close()
        for fd in (*self.readers.values(), *(fd for fds in self.writers.values() for fd in fds)):
            os.close(fd)

    def teardown(self) -> None:
        """Close everything that is open."""
        self.close_all()
        super().teardown()


def hung_up(fd: int) -> bool:
    """Return whether poll(2) reports that no writer remains."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
