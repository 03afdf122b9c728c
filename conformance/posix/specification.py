"""What the pages of POSIX message queues, semaphores and shared memory say of order, of who waits, and of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from errno import EAGAIN, EBUSY, EEXIST, EMSGSIZE, ENOENT, ETIMEDOUT
from types import MappingProxyType
from typing import ClassVar, Self

from ..outcome import Outcome
from ..specification import Call, Specification

__all__ = ["NameSpec", "PosixQueueSpec", "PosixSemaphoreSpec"]


@dataclass(frozen=True)
class PosixQueueSpec(Specification):
    """A POSIX message queue: the next message first; who is to be notified; which notifications a process has not taken."""

    maxmsg: int
    msgsize: int
    messages: tuple[tuple[bytes, int], ...] = ()
    registered: tuple[str, int] | None = None  # the process, and the value that it asked for
    notices: tuple[tuple[str, int], ...] = ()

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"mq_timedsend": ETIMEDOUT, "mq_timedreceive": ETIMEDOUT})

    @staticmethod
    def words(call: Call) -> str:
        """As the manual writes it."""
        match call.name, call.arguments:
            case "mq_send", (text, priority, wait):
                return f"mq_send({text!r}, priority {priority}{'' if wait else ', O_NONBLOCK'})"
            case "mq_receive", (wait,):
                return f"mq_receive({'' if wait else 'O_NONBLOCK'})"
            case "mq_timedsend", (text, priority, seconds):
                return f"mq_timedsend({text!r}, priority {priority}, {seconds * 1000:g} ms)"
            case "mq_timedreceive", (seconds,):
                return f"mq_timedreceive({seconds * 1000:g} ms)"
            case "mq_notify", (value,):
                return f"mq_notify(SIGEV_SIGNAL, value {value})"
            case "cancel", _:
                return "mq_notify(NULL)"
            case "noticed", _:
                return "sigtimedwait(the notification, 0 s)"
        return str(call)

    def mq_send(self, process: str, text: bytes, priority: int, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """mq_send(3): put the message behind those of the same priority. mq_notify(3): tell of one in an empty queue, once."""
        if len(text) > self.msgsize:
            return self.fails(EMSGSIZE)
        if len(self.messages) >= self.maxmsg:
            return self.waits() if wait else self.fails(EAGAIN)
        place = next((n for n, (_, other) in enumerate(self.messages) if other < priority), len(self.messages))
        after = replace(self, messages=(*self.messages[:place], (text, priority), *self.messages[place:]))
        if self.registered is not None and not self.messages:
            after = replace(after, registered=None, notices=(*self.notices, self.registered))
        return self.gives(None, after)

    def mq_receive(self, process: str, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """mq_receive(3): take the oldest message of the highest priority."""
        if not self.messages:
            return self.waits() if wait else self.fails(EAGAIN)
        return self.gives(self.messages[0], replace(self, messages=self.messages[1:]))

    def mq_timedsend(self, process: str, text: bytes, priority: int, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """mq_send(3): the same with a time limit."""
        return [*self.mq_send(process, text, priority, True)] or self.fails(ETIMEDOUT)

    def mq_timedreceive(self, process: str, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """mq_receive(3): the same with a time limit."""
        return [*self.mq_receive(process, True)] or self.fails(ETIMEDOUT)

    def mq_getattr(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """mq_getattr(3): the number of messages."""
        return self.gives(len(self.messages))

    def mq_notify(self, process: str, value: int) -> Iterable[tuple[Outcome, Self]]:
        """mq_notify(3): one process at a time is registered."""
        if self.registered is not None:
            return self.fails(EBUSY)
        return self.gives(None, replace(self, registered=(process, value)))

    def cancel(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """mq_notify(3), NULL: whoever is registered cancels that."""
        return self.gives(None, self.cancelled(process))

    def drain(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """All messages, one after another."""
        return self.gives(self.messages, replace(self, messages=()))

    def noticed(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sigtimedwait(2) of the notification: they queue, for it is a real-time signal."""
        place = next((n for n, (who, _) in enumerate(self.notices) if who == process), None)
        if place is None:
            return self.fails(EAGAIN)
        return self.gives(
            self.notices[place][1], replace(self, notices=self.notices[:place] + self.notices[place + 1 :])
        )

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """mq_close(3): a process that closes the queue is not registered any more."""
        notices = tuple(notice for notice in self.notices if notice[0] != process)
        return self.gives(None, replace(self.cancelled(process), notices=notices))

    def cancelled(self, process: str) -> Self:
        """The state without the registration of a process."""
        mine = self.registered is not None and self.registered[0] == process
        return replace(self, registered=None) if mine else self


@dataclass(frozen=True)
class PosixSemaphoreSpec(Specification):
    """A POSIX semaphore."""

    value: int

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"sem_timedwait": ETIMEDOUT})

    @staticmethod
    def words(call: Call) -> str:
        """As the manual writes it."""
        if call.name == "sem_timedwait":
            return f"sem_timedwait({call.arguments[0] * 1000:g} ms)"
        return str(call)

    def sem_post(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_post(3)."""
        return self.gives(None, replace(self, value=self.value + 1))

    def sem_wait(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_wait(3): decrement it when it is greater than zero."""
        return self.gives(None, replace(self, value=self.value - 1)) if self.value else self.waits()

    def sem_trywait(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_wait(3): the same, or fail."""
        return self.sem_wait(process) if self.value else self.fails(EAGAIN)

    def sem_timedwait(self, process: str, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """sem_wait(3): the same with a time limit."""
        return self.sem_wait(process) if self.value else self.fails(ETIMEDOUT)

    def sem_getvalue(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_getvalue(3): on Linux 0 if somebody waits."""
        return self.gives(self.value)


@dataclass(frozen=True)
class NameSpec(Specification):
    """A name, which is there or not (shm_open(3), and likewise sem_open(3), mq_open(3))."""

    there: bool

    @staticmethod
    def words(call: Call) -> str:
        """As the manual writes it."""
        match call.name, call.arguments:
            case "create", (exclusive,):
                return f"shm_open(O_CREAT{' | O_EXCL' if exclusive else ''})"
            case "find", _:
                return "shm_open()"
            case "unlink", _:
                return "shm_unlink()"
        return str(call)

    def create(self, process: str, exclusive: bool) -> Iterable[tuple[Outcome, Self]]:
        """O_CREAT: with O_EXCL it must not be there."""
        return self.fails(EEXIST) if self.there and exclusive else self.gives(None, replace(self, there=True))

    def find(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Without O_CREAT: it must be there."""
        return self.gives() if self.there else self.fails(ENOENT)

    def unlink(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Remove it; of several who try one succeeds."""
        return self.gives(None, replace(self, there=False)) if self.there else self.fails(ENOENT)
