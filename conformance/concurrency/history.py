"""Histories: the calls of several workers, with their times and results."""

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
    KILLED = "was killed in the call"  # its effect is uncertain
    BLOCKED = "sleeps in the call"  # the kernel shows it sleeping when nothing else runs
    UNFINISHED = "had not returned"  # its effect is uncertain
    ENDED = "ended"  # not a call: the process was killed, and the kernel cleans up after it


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, with times in nanoseconds of one clock. `returned` is None for a call that did not return.

    For the fate ENDED the times are those of the signal and of the process found dead. For BLOCKED, `returned` is None
    and `invoked` the begin of the call.
    """

    worker: str
    call: Call
    invoked: int
    returned: int | None = None
    result: Outcome | None = None
    fate: Fate = Fate.RETURNED

    def in_words(self) -> str:
        """Return in words how the operation ended."""
        return self.result.in_words(past=True) if self.result is not None else self.fate.value


@dataclass(frozen=True)
class History:
    """The operations of all workers.

    `quiet` are the times at which the kernel showed every worker returned or asleep, each with the numbers (in
    `operations`) of the sleeping calls. `phases` maps a call that takes effect in several steps to the calls of the
    specification for these steps: a wait on a condition variable releases the mutex and acquires it again. `crew` has
    the names of each worker and of its process, in the order of their numbers.
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
        """Return the number of pairs of calls of different workers that overlap in time."""
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
