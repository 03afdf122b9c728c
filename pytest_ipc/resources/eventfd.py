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
    """A counter that processes add to and take from, with a descriptor that can be waited for (eventfd(2))."""

    @classmethod
    def create(cls, value: int = 0, *, flags: int = EFD_CLOEXEC, scope: Scope | None = None) -> Self:
        """eventfd(2): a counter that begins with *value*, 32 bits without a sign.

        OSError: EINVAL for an unknown flag, EMFILE.
        """
        return cls(eventfd(value, flags), "event counter", scope)

    def read(self, *, timeout: Timeout = DEFAULT) -> int:
        """Take the counter's value, or 1 of it with EFD_SEMAPHORE, waiting until there is some.

        TimeoutError after *timeout* seconds.
        """
        return self._taking(lambda: eventfd_read(self._fd), timeout, "an event from")

    def write(self, value: int = 1, *, timeout: Timeout = DEFAULT) -> None:
        """Add *value*, waiting until there is room for it.

        TimeoutError after *timeout* seconds; ValueError for what never fits.
        """
        if not 0 <= value <= EVENTFD_MAX:
            raise ValueError(f"eventfd: value must be from 0 to {EVENTFD_MAX} (EVENTFD_MAX), not {value}")
        self._taking(lambda: eventfd_write(self._fd, value), timeout, "room in", POLLOUT)

    def _state(self) -> str:
        return f"its count is {int(fdinfo(self._fd, 'eventfd-count'), 16)}"
