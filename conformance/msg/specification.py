"""Specification of message queues, from msgop(2) and msgctl(2): selection of messages, blocking of calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import E2BIG, EAGAIN, EIDRM, EINVAL, ENOMSG
from typing import Self

from pytest_ipc.kernel import IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR

from ..outcome import Fails, Outcome
from ..specification import Call, Specification

__all__ = ["QueueSpec", "chosen"]

Message = tuple[int, bytes]
FLAGS = {IPC_NOWAIT: "IPC_NOWAIT", MSG_EXCEPT: "MSG_EXCEPT", MSG_NOERROR: "MSG_NOERROR", MSG_COPY: "MSG_COPY"}


def chosen(messages: tuple[Message, ...], type: int, flags: int = 0) -> int | None:
    """Return the position of the message that the selector picks, or None."""
    places = range(len(messages))
    if flags & MSG_COPY:
        return type if type < len(messages) else None
    if type == 0:
        return next(iter(places), None)
    if type > 0:
        except_it = bool(flags & MSG_EXCEPT)
        return next((place for place in places if (messages[place][0] == type) != except_it), None)
    low_enough = [place for place in places if messages[place][0] <= -type]
    return min(low_enough, key=lambda place: (messages[place][0], place), default=None)


@dataclass(frozen=True)
class QueueSpec(Specification):
    """A System V message queue: its messages, oldest first, and msg_qbytes."""

    qbytes: int
    messages: tuple[Message, ...] = ()
    removed: bool = False

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        match call.name, call.arguments:
            case "msgsnd", (type, text, flags):
                return f"msgsnd(type {type}, {text!r}{_flags(flags)})"
            case "msgrcv", (size, type, flags):
                return f"msgrcv({size} bytes, type {type}{_flags(flags)})"
            case "set_qbytes", (qbytes,):
                return f"msgctl(IPC_SET, msg_qbytes {qbytes})"
            case "rmid", _:
                return "msgctl(IPC_RMID)"
            case "counts", _:
                return "msgctl(IPC_STAT: msg_qnum, msg_cbytes)"
        return str(call)

    def msgsnd(self, process: str, type: int, text: bytes, flags: int) -> Iterable[tuple[Outcome, Self]]:
        """msgsnd(2): append the message if msg_qbytes allows its bytes and one more message."""
        if self.removed:
            return self._gone()
        if type < 1:
            return self.fails(EINVAL)
        if sum(len(text) for _, text in self.messages) + len(text) > self.qbytes or len(self.messages) >= self.qbytes:
            return self.fails(EAGAIN) if flags & IPC_NOWAIT else self.waits()
        return self.gives(None, replace(self, messages=(*self.messages, (type, text))))

    def msgrcv(self, process: str, size: int, type: int, flags: int) -> Iterable[tuple[Outcome, Self]]:
        """msgrcv(2): remove the selected message; with MSG_COPY, copy it."""
        if self.removed:
            return self._gone()
        place = chosen(self.messages, type, flags)
        if place is None:
            return self.fails(ENOMSG) if flags & IPC_NOWAIT else self.waits()
        kind, text = self.messages[place]
        if len(text) > size and not flags & MSG_NOERROR:
            return self.fails(E2BIG)
        after = self if flags & MSG_COPY else replace(self, messages=self.messages[:place] + self.messages[place + 1 :])
        return self.gives((kind, text[:size]), after)

    def set_qbytes(self, process: str, qbytes: int) -> Iterable[tuple[Outcome, Self]]:
        """msgctl(2), IPC_SET: change msg_qbytes; the messages stay."""
        return self._gone() if self.removed else self.gives(None, replace(self, qbytes=qbytes))

    def counts(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """msgctl(2), IPC_STAT: the number of messages and of bytes."""
        if self.removed:
            return self._gone()
        return self.gives((len(self.messages), sum(len(text) for _, text in self.messages)))

    def rmid(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """msgctl(2), IPC_RMID: remove the queue; blocked calls fail."""
        return self._gone() if self.removed else self.gives(None, replace(self, removed=True, messages=()))

    def _gone(self) -> Iterable[tuple[Outcome, Self]]:
        # EIDRM if the queue was removed during the call, EINVAL if before; the order of the two is not observed.
        return ((Fails(EIDRM), self), (Fails(EINVAL), self))


def _flags(flags: int) -> str:
    return "".join(f", {name}" for flag, name in FLAGS.items() if flags & flag)
