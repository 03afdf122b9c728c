"""The scope: the one owner of cleanup, for a test, a session or a `with` statement.

It keeps what was made in it, oldest first, and ends it newest first: an actor before the FIFO it is blocked on, an attachment
before its segment. What a forked child inherits is not the child's to end, so every resource knows the process that made
it, and only there does closing do anything. One failure never keeps the rest from being ended; all are reported together.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, TypeVar

from ..unpatched import os
from .cleanup import attempt, raise_together

__all__ = ["Scope"]


class Closable(Protocol):
    """What a scope can own."""

    def close(self) -> None:
        """End it; harmless when it has ended."""


Owned = TypeVar("Owned", bound=Closable)


class Scope:
    """An owner of resources, in the order they were made; a context manager."""

    def __init__(self) -> None:
        self._owned: dict[int, tuple[int, Closable]] = {}

    def own(self, resource: Owned) -> Owned:
        """End *resource* with this scope, unless it ends before. Returns it."""
        self._owned[id(resource)] = (os.getpid(), resource)
        return resource

    def forget(self, resource: Closable) -> None:
        """*resource* has ended by itself."""
        self._owned.pop(id(resource), None)

    def owned(self) -> list[Closable]:
        """What this scope owns, oldest first, also what a forked child has from its parent."""
        return [resource for _, resource in self._owned.values()]

    def close(self) -> None:
        """End everything that this process made here, newest first.

        One failure is raised as it is, several as an ExceptionGroup; a KeyboardInterrupt among them is raised itself, caused
        by the others.
        """
        failures: list[BaseException] = []
        at_last_interrupt = -1
        while True:
            try:
                self._close_own(failures)
                break
            except BaseException as interrupt:  # noqa: BLE001 - a signal's handler raised it between two resources
                failures.append(interrupt)
                if len(self._owned) == at_last_interrupt:
                    break  # it is no accident: whatever is left stays owned and on record
                at_last_interrupt = len(self._owned)
        if failures:
            raise_together(failures, "resources could not be released")

    def _close_own(self, failures: list[BaseException]) -> None:
        # Not a loop over a list: what is ended may end others with it, or register new ones. And what is being ended stays
        # owned until that is done: an exception from a signal's handler in between must not lose it.
        me = os.getpid()
        while (key := self._newest_of(me)) is not None:
            attempt(self._owned[key][1].close, failures)
            self._owned.pop(key, None)

    def _newest_of(self, process: int) -> int | None:
        for key, (pid, _) in reversed(self._owned.items()):
            if pid == process:
                return key
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
