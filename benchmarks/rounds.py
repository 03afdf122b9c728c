"""Rounds that alternate: every way once a round, so that a change of the machine's load affects all of them.

Figures are compared round by round. A ratio of two medians would compare a quiet minute with a busy one.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from .clock import Sample, Way

__all__ = ["LOW", "Figures", "Pace", "Spread", "alternate", "operations", "percentile"]

LOW = 0.1  # the low percentile: what an operation takes when nothing disturbs it
FEW = 3  # rounds, of what is too slow or too even for more
_MOST_LOOPS = 1 << 20


@dataclass(frozen=True)
class Pace:
    """How long a row is measured: for *seconds*, but *least* to *most* rounds, of at least *batch* seconds a way."""

    seconds: float
    batch: float
    least: int
    most: int

    def over(self, begin: float, rounds: int, patience: float) -> bool:
        """Whether a row that began at *begin* has had enough rounds."""
        least = self.least if patience else min(self.least, FEW)
        return rounds >= self.most or (rounds >= least and time.perf_counter() - begin > self.seconds * patience)


@dataclass(frozen=True)
class Spread:
    """A figure, the quartiles around it, and the interval that has the true median with a probability of 99 %."""

    median: float
    lower: float
    upper: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarize *values*, at least one."""
        ordered = sorted(values)
        # The number of values below the true median is binomial; 2.58 standard deviations of it, sqrt(n) / 2 each.
        rank = max(0, math.floor((len(ordered) - 2.58 * math.sqrt(len(ordered))) / 2))
        return cls(
            statistics.median(ordered),
            percentile(ordered, 0.25),
            percentile(ordered, 0.75),
            ordered[rank],
            ordered[-1 - rank],
        )


@dataclass(frozen=True)
class Figures:
    """The samples of one way, in the order of the rounds."""

    wall: Sequence[float]
    cpu: Sequence[float]

    def clock(self, name: str) -> Sequence[float]:
        """Return the samples of the clock *name*, wall or cpu."""
        return self.cpu if name == "cpu" else self.wall


def percentile(values: Sequence[float], at: float) -> float:
    """Return the value at the fraction *at* of the sorted *values*, between the two nearest ones in proportion."""
    ordered = sorted(values)
    place = at * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def alternate(ways: Mapping[str, Way], pace: Pace, loops: int | None = None, patience: float = 1) -> dict[str, Figures]:
    """Measure *ways* in alternating rounds of *loops* operations, or as many as the pace wants.

    The first way of a round is the last one of the next.
    """
    number = {name: operations(way, pace, loops) for name, way in ways.items()}
    samples: dict[str, list[Sample]] = {name: [] for name in ways}
    order = list(ways)
    begin = time.perf_counter()
    rounds = 0
    while not pace.over(begin, rounds, patience):
        for name in order:
            samples[name].append(ways[name](number[name]))
        order.append(order.pop(0))
        rounds += 1
    return {
        name: Figures([sample.wall for sample in taken], [sample.cpu for sample in taken])
        for name, taken in samples.items()
    }


def operations(way: Way, pace: Pace, loops: int | None) -> int:
    """Return the operations of a round: *loops*, or as many as fill the pace's batch. Warms up, unless that is 0."""
    if not pace.batch:
        return 1
    if loops is None:
        return _fill(way, pace.batch)
    way(1)
    return loops


def _fill(way: Way, batch: float) -> int:
    """Return how many operations take *batch* seconds of CPU time, found by trying."""
    way(1)  # the first one starts a reaper, imports modules, fills caches
    loops = 1
    while loops < _MOST_LOOPS:
        spent = min(way(loops).cpu for _ in range(2)) * loops
        if spent >= batch:
            break
        loops = max(loops + 1, min(loops * 10, int(loops * batch / max(spent, 1e-9)) + 1))
    return loops
