"""A pair of UNIX sockets and a model of it: messages in order, and descriptors that live while they travel (unix(7))."""

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

MOST = 4  # messages under way in one direction, far fewer than there is room for
PIPES = ("P1", "P2")


@dataclass
class Message:
    """A message under way, with the write ends of pipes that it carries."""

    text: bytes
    pipes: tuple[str, ...]


@dataclass
class End:
    """One end of the pair: what is under way to it, and whether more can come."""

    name: str
    socket: socket.socket
    queue: deque[Message] = field(default_factory=deque)
    ended: bool = False  # the other side sends no more
    closed: bool = False
    reset: bool = False  # the other side has gone and not read everything


class Pair(Model):
    """Two ends; and two pipes whose write ends are sent to and fro, of which the reader notices whether one is left."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.make()

    def make(self) -> None:
        """Two ends, and the pipes."""
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
    def begin_anew(self) -> None:
        """Another pair and other pipes, when both ends have been closed."""
        self.let_go()
        self.make()
        self.history.append("another pair")

    def other(self, end: End) -> End:
        """The other end."""
        return self.ends[1 - self.ends.index(end)]

    @precondition(lambda self: not all(end.closed for end in self.ends))
    @rule(data=st.data(), length=st.sampled_from((1, 3, 8)), pipes=st.sets(st.sampled_from(PIPES)))
    def send(self, data: Any, length: int, pipes: set[str]) -> None:
        """Send a message, with a write end of each of *pipes* of which there is one."""
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
            except ConnectionResetError:  # which of the two a sender is told first the page leaves open
                assert end.reset, "a connection was reset that nobody has reset"
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
        """Receive the next message, as much of it as there is room for; the rest is lost."""
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
        """Say that nothing more will be sent."""
        end = self.one_of(data, [end for end in self.ends if not end.closed])
        if self.other(end).closed:
            return

        def model() -> None:
            self.other(end).ended = True

        self.same(f"{end.name}: shutdown(SHUT_WR)", partial(end.socket.shutdown, socket.SHUT_WR), model)

    @precondition(lambda self: not all(end.closed for end in self.ends))
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """Close an end: what is under way to it is lost, with the descriptors it carries."""
        end = self.one_of(data, [end for end in self.ends if not end.closed])

        def model() -> None:
            other = self.other(end)
            end.closed = other.ended = True
            other.reset = other.reset or bool(end.queue)
            end.queue.clear()

        self.same(f"{end.name}: close()", end.socket.close, model)

    @invariant()
    def the_readers_notice(self) -> None:
        """A pipe hangs up when no write end is left, neither in this process nor under way."""
        for name, fd in self.readers.items():
            under_way = any(name in message.pipes for end in self.ends for message in end.queue)
            expected = not self.writers[name] and not under_way
            self.sees(f"POLLHUP of {name}", partial(hung_up, fd), partial(bool, expected))

    def let_go(self) -> None:
        """Close what is open."""
        for end in self.ends:
            end.socket.close()
        for fd in (*self.readers.values(), *(fd for fds in self.writers.values() for fd in fds)):
            os.close(fd)

    def teardown(self) -> None:
        """Close what is open."""
        self.let_go()
        super().teardown()


def hung_up(fd: int) -> bool:
    """Whether poll(2) reports that nobody can write any more."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
