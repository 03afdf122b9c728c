"""Specifications: the manual's description of a mechanism as a state and the results that each call may have in it.

A specification is pure Python and has two uses: a sequential model checks that the kernel's result is among those
allowed, and a concurrent check whether the results of a recorded history fit some order of its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from .outcome import Fails, Gives, Outcome

Transition = tuple[Outcome, "Specification"]


class Call(NamedTuple):
    """A call of the specification: the calling process, the name, the arguments."""

    process: str
    name: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"


class Specification:
    """A state of a mechanism. Subclasses are frozen dataclasses with one method per call, of the same name.

    The method gets the process and the arguments, and returns the possible (result, next state) pairs: one where the
    manual leaves no choice, several where it does, none where the call blocks in this state. `over` has, for a call
    with a timeout, the errno of its expiration, which is the only result where the call would block. A call that fails
    changes nothing, unless it fails with one of `changing`.
    """

    over: ClassVar[Mapping[str, int]] = {}
    changing: ClassVar[frozenset[int]] = frozenset()

    def apply(self, call: Call) -> Iterable[tuple[Outcome, Self]]:
        """Return the possible results of the call in this state, each with the next state; none if it blocks."""
        transitions: Iterable[tuple[Outcome, Self]] = getattr(self, call.name)(call.process, *call.arguments)
        return transitions

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as in the manual."""
        return str(call)

    def sleeps(self, call: Call) -> bool:
        """Return whether the call blocks in this state; a call that can only time out does."""
        over = self.over.get(call.name)
        return all(isinstance(result, Fails) and result.errno == over for result, _ in self.apply(call))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Return what the kernel may do when a process terminates: by default nothing."""
        return self.gives()

    def gives(self, value: Any = None, then: Self | None = None) -> Iterable[tuple[Outcome, Self]]:
        """Return the only result: *value*, and the state *then* (default: unchanged)."""
        return ((Gives(value), self if then is None else then),)

    def fails(self, errno: int) -> Iterable[tuple[Outcome, Self]]:
        """Return the only result: the call fails with *errno* and changes nothing."""
        return ((Fails(errno), self),)

    def waits(self) -> Iterator[tuple[Outcome, Self]]:
        """Return no result: the call blocks in this state."""
        return iter(())
