"""Specifications: what the manual says of a mechanism, as a state and the results that each call may give in it.

A specification is pure Python. It is used twice: a sequential machine asks whether the kernel's result is among those that the
specification allows, and a concurrent check asks whether the results of a recorded history fit some order of its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from .outcome import Fails, Gives, Outcome

Transition = tuple[Outcome, "Specification"]


class Call(NamedTuple):
    """A call as the specification sees it: the process that makes it, the name, the arguments."""

    process: str
    name: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"


class Specification:
    """A state of a mechanism. Subclasses are frozen dataclasses with one method for each call, named like it.

    The method gets the process and the call's arguments. It returns the possible (result, next state) pairs: one where the
    manual leaves no choice, several where it does, none where the call waits in this state. `over` has, for a call with a
    time limit, the errno that says that its time is over: where it waits, that is its only result. A call that fails changes
    nothing, unless it fails with one of `changing`.
    """

    over: ClassVar[Mapping[str, int]] = {}
    changing: ClassVar[frozenset[int]] = frozenset()

    def apply(self, call: Call) -> Iterable[tuple[Outcome, Self]]:
        """Return what the call may give in this state, each with the state after it; nothing if the call waits."""
        transitions: Iterable[tuple[Outcome, Self]] = getattr(self, call.name)(call.process, *call.arguments)
        return transitions

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as a reader of the manual would write it."""
        return str(call)

    def sleeps(self, call: Call) -> bool:
        """Return whether the call waits in this state. One that may say that its time is over does, if it can say no more."""
        over = self.over.get(call.name)
        return all(isinstance(result, Fails) and result.errno == over for result, _ in self.apply(call))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Return what the kernel may do when a process ends: by default nothing."""
        return self.gives()

    def gives(self, value: Any = None, then: Self | None = None) -> Iterable[tuple[Outcome, Self]]:
        """Return the only result: *value*, and the state *then* (default: unchanged)."""
        return ((Gives(value), self if then is None else then),)

    def fails(self, errno: int) -> Iterable[tuple[Outcome, Self]]:
        """Return the only result: the call fails with *errno* and changes nothing."""
        return ((Fails(errno), self),)

    def waits(self) -> Iterator[tuple[Outcome, Self]]:
        """Return no result: the call cannot return in this state."""
        return iter(())
