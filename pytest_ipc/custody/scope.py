"""The scope: the owner of resources, which closes them at the end of a test, a session or a `with` statement.

It closes its resources newest first: a child before the FIFO on which it is blocked, an attachment before its segment.
Closing a resource has an effect only in the process that created it, not in a forked child. A failure does not stop the
others from being closed; all failures are raised together.
"""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, Protocol, Self, TypeVar
from weakref import WeakSet

from ..unpatched import os
from .cleanup import attempt, raise_together
from .spare import lacked_descriptors, spare_descriptors

__all__ = ["Scope"]


class Closable(Protocol):
    """An object that a scope can own."""

    def close(self) -> None:
        """Release it; harmless when repeated."""


Owned = TypeVar("Owned", bound=Closable)


class Scope:
    """An owner of resources, in order of creation; a context manager."""

    def __init__(self) -> None:
        self._owned: dict[int, tuple[int, Closable]] = {}
        self._reported: list[BaseException] = []
        _scopes.add(self)

    @staticmethod
    def all_open() -> list[Scope]:
        """Return the scopes of this process that own something."""
        return [scope for scope in _scopes if scope.owned()]

    def own(self, resource: Owned, maker: int | None = None) -> Owned:
        """Close *resource* with this scope, in the process *maker*, this one, unless it is closed before. Return it."""
        self._owned[id(resource)] = (os.getpid() if maker is None else maker, resource)
        return resource

    def forget(self, resource: Closable) -> None:
        """Disown *resource*, which has been closed."""
        self._owned.pop(id(resource), None)

    def owned(self) -> list[Closable]:
        """Return the resources of this scope, oldest first, including those that a forked child inherited."""
        return [resource for _, resource in self._owned.values()]

    def report(self, failure: BaseException) -> None:
        """Have close() raise *failure*, which a resource has found when it was closed."""
        self._reported.append(failure)

    def close(self) -> None:
        """Close all resources that this process created in this scope, newest first.

        Raises a single failure unchanged, several as an ExceptionGroup; a KeyboardInterrupt among them is raised
        itself, with the others as its cause.
        """
        failures: list[BaseException] = []
        at_last_interrupt = -1
        while True:
            try:
                self._close_own(failures)
                break
            except BaseException as interrupt:  # noqa: BLE001 - a signal handler raised it between two resources
                failures.append(interrupt)
                if len(self._owned) == at_last_interrupt:
                    break  # no progress since the last interrupt: the rest stays owned and on record
                at_last_interrupt = len(self._owned)
        reported, self._reported = self._reported, []
        if failures or reported:
            raise_together([*failures, *reported], "resources could not be released")

    def _close_own(self, failures: list[BaseException]) -> None:
        # Not a loop over a list, as closing may close or register others. A resource stays owned until it is closed, so
        # that an exception from a signal handler does not lose it.
        me = os.getpid()
        while (key := self._newest_of(me)) is not None:
            close, known = self._owned[key][1].close, len(failures)
            attempt(close, failures)
            if any(map(lacked_descriptors, failures[known:])):
                del failures[known:]
                with spare_descriptors():
                    attempt(close, failures)
            self._owned.pop(key, None)

    def _newest_of(self, process: int) -> int | None:
        for key, (pid, _) in reversed(self._owned.items()):
            if pid == process:
                return key
        return None

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Scope cannot be passed to another process: it belongs to the process that closes its resources; pass "
            "the resources"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_scopes: WeakSet[Scope] = WeakSet()
