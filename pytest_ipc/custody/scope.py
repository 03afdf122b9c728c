"""The scope: the one owner of tear-down, for a test, a session or a `with` statement.

It keeps what was made in it, oldest first, and ends it newest first: an actor before the FIFO it is blocked on, an attachment
before its segment. What a forked child inherits is not the child's to end, so every resource knows the process that made
it, and only there does closing do anything. One failure never keeps the rest from being ended; all are told together.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, TypeVar

from ..unpatched import os

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

        One failure is raised as it is, several as an ExceptionGroup (BaseExceptionGroup if one of them is an interrupt).
        """
        failures: list[BaseException] = []
        inherited = []
        # Not a loop over a list: what is ended may end others with it, or register new ones.
        while self._owned:
            key, (pid, resource) = self._owned.popitem()
            if pid != os.getpid():
                inherited.append((key, (pid, resource)))
                continue
            try:
                resource.close()
            except BaseException as failure:  # noqa: BLE001 - an interrupt must not leave the rest behind; it is raised below
                failures.append(failure)
        self._owned.update(reversed(inherited))
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup(f"{len(failures)} resources could not be released", failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
