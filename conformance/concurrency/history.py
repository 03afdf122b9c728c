"""Histories: which calls several workers made, when each began and returned, and with which result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from ..outcome import Outcome
from ..specification import Call

__all__ = ["Fate", "History", "Operation"]


class Fate(Enum):
    """How an operation ended."""

    RETURNED = "returned"
    INTERRUPTED = "failed with EINTR"  # without effect
    KILLED = "was killed in the call"  # it may have had its effect or not
    BLOCKED = "sleeps in the call"  # it waits, as the kernel says, when nothing else runs any more
    UNFINISHED = "had not returned"  # it may have had its effect or not
    ENDED = "ended"  # not a call: the process was killed, and the kernel cleans up after it


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: times in nanoseconds of one clock. `returned` is None for a call that never did.

    Of an operation whose fate is ENDED they are when the signal was sent and when the process was found dead. Of one that is
    BLOCKED, `returned` is None and `invoked` when it began.
    """

    worker: str
    call: Call
    invoked: int
    returned: int | None = None
    result: Outcome | None = None
    fate: Fate = Fate.RETURNED

    def told(self) -> str:
        """Return how the operation ended, in words."""
        return self.result.told(past=True) if self.result is not None else self.fate.value


@dataclass(frozen=True)
class History:
    """The operations of all workers.

    `quiet` are the moments at which the kernel said that every worker had returned or slept in a call, each with the numbers
    (in `operations`) of the calls that slept then. `phases` names, for a call that takes effect in several points, the calls
    of the specification that stand for these: a wait on a condition variable releases the mutex and acquires it again. `crew` has
    the name of each worker and of its process, in the order of their numbers.
    """

    operations: tuple[Operation, ...]
    quiet: tuple[tuple[int, frozenset[int]], ...] = ()
    phases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    crew: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, *operations: Operation, **more: Any) -> History:
        """Return the history of *operations*."""
        return cls(operations, **more)

    def without(self, dropped: Sequence[int]) -> History:
        """Return the history without the operations of these numbers."""
        kept = [number for number in range(len(self.operations)) if number not in dropped]
        renumbered = {old: new for new, old in enumerate(kept)}
        quiet = tuple(
            (moment, frozenset(renumbered[number] for number in asleep if number in renumbered))
            for moment, asleep in self.quiet
        )
        return replace(self, operations=tuple(self.operations[number] for number in kept), quiet=quiet)

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers, in the order of their names."""
        return tuple(sorted({operation.worker for operation in self.operations}))

    def overlapping(self) -> int:
        """Return how many pairs of calls of different workers overlapped in time."""
        spans = [
            (operation.invoked, operation.returned, operation.worker)
            for operation in self.operations
            if operation.returned is not None and operation.fate is Fate.RETURNED
        ]
        return sum(
            first[2] != second[2] and first[0] < second[1] and second[0] < first[1]
            for number, first in enumerate(spans)
            for second in spans[:number]
        )
