"""Small specifications that the engine is tested with, and a checker that tries every order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from errno import EAGAIN
from itertools import combinations, permutations
from typing import Self

from conformance.concurrency.history import Fate, Operation
from conformance.concurrency.linearizability import Step
from conformance.outcome import Gives, Outcome
from conformance.specification import Call, Specification


@dataclass(frozen=True)
class Register(Specification):
    """A number that is written and read."""

    value: int = 0

    def write(self, process: str, value: int) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)(value))

    def read(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(self.value)


@dataclass(frozen=True)
class KeyedRegister(Specification):
    """One of several registers, which its key is the last argument for."""

    value: int = 0

    def write(self, process: str, value: int, key: int) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)(value))

    def read(self, process: str, key: int) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(self.value)


@dataclass(frozen=True)
class Line(Specification):
    """A queue of at most two items; `take` waits while it is empty, `put` while it is full, `poll` does not wait."""

    items: tuple[int, ...] = ()

    def put(self, process: str, item: int) -> Iterable[tuple[Outcome, Self]]:
        return self.waits() if len(self.items) == 2 else self.gives(None, type(self)((*self.items, item)))

    def take(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(self.items[0], type(self)(self.items[1:])) if self.items else self.waits()

    def poll(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.take(process) if self.items else self.fails(EAGAIN)


@dataclass(frozen=True)
class Lock(Specification):
    """A lock with an owner, which the kernel lets go when the owner ends.

    `swap` lets go and takes it again in two points.
    """

    owner: str = ""

    def acquire(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.waits() if self.owner else self.gives(None, type(self)(process))

    def release(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)()) if self.owner == process else self.waits()

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)("" if self.owner == process else self.owner))


@dataclass(frozen=True)
class Bag(Specification):
    """Numbers that are taken out in any order."""

    items: frozenset[int] = frozenset()

    def put(self, process: str, item: int) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)(self.items | {item}))

    def take(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return tuple((Gives(item), type(self)(self.items - {item})) for item in sorted(self.items))


def op(
    worker: str, begin: int, end: int | None, name: str, *arguments: object, gave: object = None, **more: object
) -> Operation:
    """Return an operation that returned *gave*; with end None, one that sleeps."""
    if end is None:
        more.setdefault("fate", Fate.BLOCKED)
    result = more.pop("result", Gives(gave) if end is not None else None)
    return Operation(worker, Call(worker[:1], name, arguments), begin, end, result, **more)  # type: ignore[arg-type]  # of several types


def every_order(steps: Sequence[Step], initial: Specification) -> bool:
    """Return whether some order fits, by trying them all: no memory, no pruning, another reading of the same rules."""
    required = [number for number, step in enumerate(steps) if not step.optional]
    optional = [number for number, step in enumerate(steps) if step.optional]
    for size in range(len(optional) + 1):
        for some in combinations(optional, size):
            for order in permutations([*required, *some]):
                if _in_time(steps, order) and _allowed(steps, order, initial):
                    return True
    return False


def _in_time(steps: Sequence[Step], order: Sequence[int]) -> bool:
    for place, number in enumerate(order):
        step = steps[number]
        for later in order[place + 1 :]:
            end = steps[later].returned
            if end is not None and not steps[later].optional and end < step.invoked:
                return False
            if number in steps[later].until or later in step.after:
                return False
        if any(other not in order for other in step.after):
            return False
    return True


def _allowed(steps: Sequence[Step], order: Sequence[int], initial: Specification) -> bool:
    states = {initial}
    for number in order:
        step = steps[number]
        if step.asleep:
            states = {state for state in states if not any(list(state.apply(call)) for _, call in step.asleep)}
        else:
            states = {
                after for state in states for result, after in state.apply(step.call) if step.result in (None, result)
            }
    return bool(states)
