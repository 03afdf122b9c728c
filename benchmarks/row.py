"""A row of the table: what is measured, in which ways, and the goal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .clock import Way
from .rounds import LOW, Figures, Spread, percentile

__all__ = ["MICROSECONDS", "Goal", "NotMeasuredError", "Row", "Unit", "difference", "low", "ratio"]


class NotMeasuredError(Exception):
    """A row that cannot be measured here, with the reason."""


@dataclass(frozen=True)
class Unit:
    """How a figure is shown: so many of *name* are one second, byte or thing."""

    name: str
    scale: float
    of: str = "second"  # the unit of the samples, as pyperf names it


MICROSECONDS = Unit("µs", 1e6)


@dataclass(frozen=True)
class Goal:
    """At most *limit*: of the *kind* "ratio" to the peer, "difference" to the peer, or "value", in the row's unit."""

    kind: str
    limit: float

    def __str__(self) -> str:
        if self.kind == "ratio":
            return "faster" if self.limit == 1 else f"{self.limit:g} x"
        return f"{'+' if self.kind == 'difference' else ''}{self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One operation. *open* prepares it and gives the ways: "ours", and where there are any "peer", "floor", others."""

    name: str
    title: str
    peer: str
    goal: Goal | None
    open: Callable[[], AbstractContextManager[Mapping[str, Way]]]
    clock: str = "cpu"  # or "wall", where the time of other processes counts
    unit: Unit = MICROSECONDS
    loops: int | None = None  # operations of a round, or the size of one; by default as many as take a while
    slow: bool = False  # measured with --quick only if it is named
    inside: Callable[[], Sequence[str]] = tuple  # a command that executes a process for this row, as in a namespace
    patience: float = 1  # for how many times as long as others it is measured; 0 is three rounds

    def reached(self, figures: Mapping[str, Figures]) -> Spread | None:
        """Return what the goal limits, in its unit; None without a goal or the peer that it needs."""
        if self.goal is None:
            return None
        if self.goal.kind == "value":
            return Spread.of([value * self.unit.scale for value in figures["ours"].clock(self.clock)])
        if "peer" not in figures:
            return None
        if self.goal.kind == "ratio":
            return ratio(figures["ours"], figures["peer"], self.clock)
        return difference(figures["ours"], figures["peer"], self.clock, self.unit.scale)

    def met(self, figures: Mapping[str, Figures]) -> bool | None:
        """Return whether the goal is met; None if there is none or it could not be measured.

        A ratio of CPU time does not show a wait, so the ratio by the clock must not be clearly more than the goal.
        """
        reached = self.reached(figures)
        if reached is None or self.goal is None:
            return None
        if self.goal.kind == "ratio" and ratio(figures["ours"], figures["peer"], "wall").least > self.goal.limit:
            return False
        return reached.median <= self.goal.limit

    def clear(self, figures: Mapping[str, Figures]) -> bool:
        """Return whether the samples suffice to say so: the interval of the median is on one side of the goal."""
        reached = self.reached(figures)
        if reached is None or self.goal is None:
            return False
        return not reached.least <= self.goal.limit < reached.most


def ratio(ours: Figures, other: Figures, clock: str) -> Spread:
    """Return the ratio of the two, round by round."""
    pairs = zip(ours.clock(clock), other.clock(clock), strict=True)
    return Spread.of([mine / max(theirs, 1e-9) for mine, theirs in pairs])


def difference(ours: Figures, other: Figures, clock: str, scale: float = 1) -> Spread:
    """Return by how much ours is more, round by round."""
    pairs = zip(ours.clock(clock), other.clock(clock), strict=True)
    return Spread.of([(mine - theirs) * scale for mine, theirs in pairs])


def low(figures: Figures, clock: str) -> float:
    """Return the low percentile of the samples."""
    return percentile(figures.clock(clock), LOW)
