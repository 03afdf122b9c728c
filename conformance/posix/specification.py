"""Specifications of POSIX message queues, semaphores and shared memory names."""

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
    """A POSIX message queue: its messages, the next one first; the registered process; the pending notifications."""

    maxmsg: int
    msgsize: int
    messages: tuple[tuple[bytes, int], ...] = ()
    registered: tuple[str, int] | None = None  # the process and its sigev_value
    notices: tuple[tuple[str, int], ...] = ()

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"mq_timedsend": ETIMEDOUT, "mq_timedreceive": ETIMEDOUT})

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
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
        """mq_send(3): insert the message after those of its priority; notify once if the queue was empty."""
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
        """mq_receive(3): remove the oldest message of the highest priority."""
        if not self.messages:
            return self.waits() if wait else self.fails(EAGAIN)
        return self.gives(self.messages[0], replace(self, messages=self.messages[1:]))

    def mq_timedsend(self, process: str, text: bytes, priority: int, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """mq_timedsend(3): mq_send with a timeout."""
        return [*self.mq_send(process, text, priority, True)] or self.fails(ETIMEDOUT)

    def mq_timedreceive(self, process: str, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """mq_timedreceive(3): mq_receive with a timeout."""
        return [*self.mq_receive(process, True)] or self.fails(ETIMEDOUT)

    def mq_getattr(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """mq_getattr(3): the number of messages."""
        return self.gives(len(self.messages))

    def mq_notify(self, process: str, value: int) -> Iterable[tuple[Outcome, Self]]:
        """mq_notify(3): register one process at a time."""
        if self.registered is not None:
            return self.fails(EBUSY)
        return self.gives(None, replace(self, registered=(process, value)))

    def cancel(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """mq_notify(3) with NULL: cancel the registration of the caller."""
        return self.gives(None, self.cancelled(process))

    def drain(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Receive all messages."""
        return self.gives(self.messages, replace(self, messages=()))

    def noticed(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sigtimedwait(2) for the notification, a real-time signal, which is queued."""
        place = next((n for n, (who, _) in enumerate(self.notices) if who == process), None)
        if place is None:
            return self.fails(EAGAIN)
        return self.gives(
            self.notices[place][1], replace(self, notices=self.notices[:place] + self.notices[place + 1 :])
        )

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """mq_close(3): closing the queue cancels the registration of the process."""
        notices = tuple(notice for notice in self.notices if notice[0] != process)
        return self.gives(None, replace(self.cancelled(process), notices=notices))

    def cancelled(self, process: str) -> Self:
        """Return the state without the registration of a process."""
        mine = self.registered is not None and self.registered[0] == process
        return replace(self, registered=None) if mine else self


@dataclass(frozen=True)
class PosixSemaphoreSpec(Specification):
    """A POSIX semaphore."""

    value: int

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"sem_timedwait": ETIMEDOUT})

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        if call.name == "sem_timedwait":
            return f"sem_timedwait({call.arguments[0] * 1000:g} ms)"
        return str(call)

    def sem_post(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_post(3)."""
        return self.gives(None, replace(self, value=self.value + 1))

    def sem_wait(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_wait(3): decrement a value above 0, or block."""
        return self.gives(None, replace(self, value=self.value - 1)) if self.value else self.waits()

    def sem_trywait(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_trywait(3): decrement a value above 0, or fail."""
        return self.sem_wait(process) if self.value else self.fails(EAGAIN)

    def sem_timedwait(self, process: str, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """sem_timedwait(3): decrement the value, or time out."""
        return self.sem_wait(process) if self.value else self.fails(ETIMEDOUT)

    def sem_getvalue(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sem_getvalue(3): on Linux 0 while processes wait."""
        return self.gives(self.value)


@dataclass(frozen=True)
class NameSpec(Specification):
    """A name that exists or not (shm_open(3); likewise sem_open(3), mq_open(3))."""

    exists: bool

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        match call.name, call.arguments:
            case "create", (exclusive,):
                return f"shm_open(O_CREAT{' | O_EXCL' if exclusive else ''})"
            case "find", _:
                return "shm_open()"
            case "unlink", _:
                return "shm_unlink()"
        return str(call)

    def create(self, process: str, exclusive: bool) -> Iterable[tuple[Outcome, Self]]:
        """shm_open(3) with O_CREAT: fail if the name exists and O_EXCL is set."""
        return self.fails(EEXIST) if self.exists and exclusive else self.gives(None, replace(self, exists=True))

    def find(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """shm_open(3) without O_CREAT: fail if the name does not exist."""
        return self.gives() if self.exists else self.fails(ENOENT)

    def unlink(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """shm_unlink(3): remove the name; one of several callers succeeds."""
        return self.gives(None, replace(self, exists=False)) if self.exists else self.fails(ENOENT)
