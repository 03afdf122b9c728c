"""Sequential specification of a pair of message sockets in unix(7): messages arrive whole, in order and once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import EAGAIN, EPIPE
from socket import MSG_DONTWAIT, MSG_PEEK
from typing import Self

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification

__all__ = ["PairSpec"]

FULL = 5  # messages that every queue holds; beyond that a sender may wait


@dataclass(frozen=True)
class PairSpec(Specification):
    """Two sockets, 0 and 1: the incoming messages of each, and whether it receives no more."""

    queues: tuple[tuple[bytes, ...], tuple[bytes, ...]] = ((), ())
    shut: tuple[bool, bool] = (False, False)

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "send", (end, text, flags):
                return f"send({end}, {text!r}{_flags(flags)})"
            case "recv", (end, flags):
                return f"recv({end}{_flags(flags)})"
            case "shutdown", (end,):
                return f"shutdown({end}, SHUT_WR)"
        return str(call)

    def send(self, process: str, end: int, text: bytes, flags: int) -> Iterable[tuple[Outcome, Self]]:
        """send(2): queue the message after those that the other socket has not received."""
        other = 1 - end
        if self.shut[other]:
            return self.fails(EPIPE)
        done = Gives(len(text)), self._with(other, (*self.queues[other], text))
        if len(self.queues[other]) >= FULL and flags & MSG_DONTWAIT:
            return (done, (Fails(EAGAIN), self))
        return (done,)

    def sleeps(self, call: Call) -> bool:
        """Return whether the call sleeps; a sender may wait behind FULL messages."""
        if call.name == "send":
            other = 1 - call.arguments[0]
            return not self.shut[other] and len(self.queues[other]) >= FULL
        return super().sleeps(call)

    def recv(self, process: str, end: int, flags: int) -> Iterable[tuple[Outcome, Self]]:
        """recv(2): return the oldest message, whole; empty after the last one if no more can come."""
        queue = self.queues[end]
        if queue:
            return self.gives(queue[0], self if flags & MSG_PEEK else self._with(end, queue[1:]))
        if self.shut[end]:
            return self.gives(b"")
        return self.fails(EAGAIN) if flags & MSG_DONTWAIT else self.waits()

    def shutdown(self, process: str, end: int) -> Iterable[tuple[Outcome, Self]]:
        """shutdown(2), SHUT_WR: this socket sends no more."""
        shut = (self.shut[0] or end == 1, self.shut[1] or end == 0)
        return self.gives(None, replace(self, shut=shut))

    def _with(self, end: int, queue: tuple[bytes, ...]) -> Self:
        return replace(self, queues=(queue, self.queues[1]) if end == 0 else (self.queues[0], queue))


def _flags(flags: int) -> str:
    return "".join(
        f", {name}" for flag, name in ((MSG_DONTWAIT, "MSG_DONTWAIT"), (MSG_PEEK, "MSG_PEEK")) if flags & flag
    )
