"""Event counters as objects: eventfd(2)."""

from __future__ import annotations

from select import POLLOUT
from typing import TYPE_CHECKING, Self

from ..kernel.eventfds import EFD_CLOEXEC, EVENTFD_MAX, eventfd, eventfd_read, eventfd_write
from ..kernel.waiting import DEFAULT_TIMEOUT
from .descriptor import Descriptor

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["EventFd"]


class EventFd(Descriptor):
    """A counter that processes add to and take from, with a descriptor that can be waited for (eventfd(2))."""

    @classmethod
    def create(cls, value: int = 0, *, flags: int = EFD_CLOEXEC, scope: Scope | None = None) -> Self:
        """eventfd(2): a counter that begins with *value*, 32 bits without a sign. OSError: EINVAL for an unknown flag, EMFILE."""
        return cls(eventfd(value, flags), "event counter", scope)

    def read(self, timeout: float | None = DEFAULT_TIMEOUT) -> int:
        """Take the counter's value, or 1 of it with EFD_SEMAPHORE, waiting until there is some.

        TimeoutError after *timeout* seconds.
        """
        return self._taking(lambda: eventfd_read(self._fd), timeout, "an event")

    def write(self, value: int = 1, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Add *value*, waiting until there is room for it. TimeoutError after *timeout* seconds; ValueError for what never fits."""
        if not 0 <= value <= EVENTFD_MAX:
            raise ValueError(f"{value} can never be added to an event counter, which holds at most {EVENTFD_MAX}")
        self._taking(lambda: eventfd_write(self._fd, value), timeout, "room in the counter", POLLOUT)
