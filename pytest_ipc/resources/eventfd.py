"""Event counters as objects: eventfd(2)."""

from __future__ import annotations

from select import POLLOUT
from typing import TYPE_CHECKING, Self

from ..kernel.eventfds import EFD_CLOEXEC, EVENTFD_MAX, eventfd, eventfd_read, eventfd_write
from ..resource import DEFAULT, Timeout
from .descriptor import Descriptor, fdinfo

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["EventFd"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class EventFd(Descriptor):
    """A counter with a descriptor: processes add to it, and wait until they can take from it (eventfd(2))."""

    @classmethod
    def create(cls, value: int = 0, *, flags: int = EFD_CLOEXEC, scope: Scope | None = None) -> Self:
        """Create a counter with the initial *value*, unsigned 32 bits (eventfd(2)).

        Raises OSError (EINVAL for an unknown flag, EMFILE).
        """
        return cls(eventfd(value, flags), "event counter", scope)

    def read(self, *, timeout: Timeout = DEFAULT) -> int:
        """Wait until the counter is above 0 and take its value, or 1 with EFD_SEMAPHORE.

        Raises TimeoutError after *timeout* seconds.
        """
        return self._taking(lambda: eventfd_read(self._fd), timeout, "an event from")

    def write(self, value: int = 1, *, timeout: Timeout = DEFAULT) -> None:
        """Add *value*, waiting until the counter can hold it.

        Raises TimeoutError after *timeout* seconds; ValueError for a value beyond EVENTFD_MAX.
        """
        if not 0 <= value <= EVENTFD_MAX:
            raise ValueError(f"eventfd: value must be from 0 to {EVENTFD_MAX} (EVENTFD_MAX), not {value}")
        self._taking(lambda: eventfd_write(self._fd, value), timeout, "room in", POLLOUT)

    def _state(self) -> str:
        return f"its count is {int(fdinfo(self._fd, 'eventfd-count'), 16)}"
