"""A series: the same row at several sizes, each in a process of its own, which take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from .clock import Way
from .rounds import Figures, Pace, alternate
from .row import MICROSECONDS, Row, Unit, low
from .worker import Worker

__all__ = ["Growth", "Series", "growth", "measure"]

TOLERATED = 1.5  # a cost that is at most so many times the one before is the same


@dataclass(frozen=True)
class Series:
    """How the cost of an operation depends on a size; *each* says that the cost is that of one of as many."""

    name: str
    title: str
    axis: str
    sizes: Sequence[int]
    open: Callable[[int], AbstractContextManager[Mapping[str, Way]]]
    peer: str = ""
    each: bool = False
    clock: str = "cpu"
    unit: Unit = MICROSECONDS
    loops: int | None = None
    patience: float = 1
    inside: Callable[[int], Sequence[str]] = lambda _size: ()

    def rows(self) -> dict[int, Row]:
        """Return the row of each size, named SERIES@SIZE."""
        return {size: self._row(size) for size in self.sizes}

    def _row(self, size: int) -> Row:
        return Row(
            f"{self.name}@{size}",
            f"{self.title} {size:,} {self.axis}",
            self.peer,
            None,
            lambda: self.open(size),
            clock=self.clock,
            unit=self.unit,
            loops=self.loops,
            inside=lambda: self.inside(size),
        )


@dataclass(frozen=True)
class Growth:
    """The costs of one way of a series, by size: low percentiles, which other processes disturb least."""

    costs: Mapping[int, float]
    each: bool

    @property
    def factor(self) -> float:
        """How many times the least cost of smaller sizes the largest size costs."""
        *smaller, largest = self.costs.values()
        return largest / min(smaller)

    @property
    def verdict(self) -> str:
        """Return flat, linear, or worse than linear."""
        if self.factor <= TOLERATED:
            return "linear" if self.each else "flat"
        if self.each:
            return "worse than linear"
        (before, cost_before), (last, cost_last) = list(self.costs.items())[-2:]
        return "linear" if cost_last / cost_before <= TOLERATED * last / before else "worse than linear"


def growth(series: Series, found: Mapping[str, Mapping[str, Figures]], way: str = "ours") -> Growth | None:
    """Return how *way* grows in the results *found*; None without it."""
    costs = {
        size: low(found[row.name][way], series.clock)
        for size, row in series.rows().items()
        if way in found.get(row.name, {})
    }
    return Growth(costs, series.each) if len(costs) > 2 else None


def measure(series: Series, pace: Pace) -> dict[str, dict[str, Figures]]:
    """Measure a series. Return the figures of each row. NotMeasuredError."""
    with ExitStack() as running:
        ways = {}
        for row in series.rows().values():
            worker = running.enter_context(Worker(row.name, inside=row.inside()))
            ways.update({f"{row.name}/{name}": way for name, way in worker.ways.items()})
        taken = alternate(ways, pace, series.loops, series.patience)
    found: dict[str, dict[str, Figures]] = {}
    for name, figures in taken.items():
        row_name, _, way = name.rpartition("/")
        found.setdefault(row_name, {})[way] = figures
    return found
