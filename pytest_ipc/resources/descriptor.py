"""One open descriptor as an object: the common part of pipe ends and of other plain descriptors."""

from __future__ import annotations

from collections.abc import Callable
from errno import EAGAIN
from typing import TYPE_CHECKING, Self, TypeVar

from ..kernel.waiting import Deadline
from ..printable import plain
from ..resource import Handle, Timeout, WithDescriptor, check_timeout, closed_when_dropped, timed_out
from ..unpatched import io, select
from .handed import Duplicate, duplicate, received

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Descriptor"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Taken = TypeVar("Taken")


class Descriptor(WithDescriptor):
    """A descriptor that each process closes once. It needs no record: the kernel closes it with the process."""

    def __init__(self, fd: int, name: str, scope: Scope | None = None) -> None:
        self._fd = fd
        self._name = name
        super().__init__(scope)

    def __repr__(self) -> str:
        return plain(f"<{self._name}, descriptor {self._fd}>")

    def _handle(self) -> Handle:
        return self._handed, (duplicate(self._fd, self), self._name)

    @classmethod
    def _handed(cls, passed: Duplicate, name: str) -> Self:
        """Return the descriptor as an object, in the process that it was passed to."""
        return closed_when_dropped(cls(received(passed), name))

    def close(self) -> None:
        """Close the descriptor (close(2)). Harmless if it is closed. A forked child closes its own copy."""
        if self._ended:
            return
        self._closed = True
        self._end()
        self._ended = True
        if self._scope is not None:
            self._scope.forget(self)

    def _end(self) -> None:
        self._close_fd()

    def _taking(
        self, take: Callable[[], Taken], timeout: Timeout | Deadline, what: str, event: int = select.POLLIN
    ) -> Taken:
        """Return take() once the descriptor is ready, retried after a signal. Raises TimeoutError for *what*.

        Another process may be faster. A descriptor with O_NONBLOCK is polled again; one without blocks in the call.
        """
        fd = self.fileno()
        deadline = timeout if isinstance(timeout, Deadline) else Deadline(check_timeout(timeout))
        ready = select.poll()
        ready.register(fd, event)
        while True:
            if not ready.poll(deadline.left_ms) and deadline.passed:
                raise timed_out(deadline.timeout, f"{what} {self!r}", self._state)
            try:
                return take()
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno != EAGAIN:
                    raise

    def _state(self) -> str:
        """Return the state of the object that the kernel reports, for the message of a timeout. Raises OSError."""
        return ""


def fdinfo(fd: int, name: str) -> str:
    """Return the value of the line *name* in /proc/self/fdinfo (proc_pid_fdinfo(5)).

    Raises OSError; ValueError if the line is missing.
    """
    with io.open(f"/proc/self/fdinfo/{fd}") as lines:
        for line in lines:
            field, _, value = line.partition(":")
            if field == name:
                return value.strip()
    raise ValueError(f"/proc/self/fdinfo/{fd} has no line {name}")
