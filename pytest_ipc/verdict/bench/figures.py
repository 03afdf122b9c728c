"""A figure and its spread: from the samples of several repetitions, with what makes it doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

__all__ = ["QUANTITIES", "Figure", "Quantity", "percentile", "summarize"]

Quantity = Literal["latency", "bandwidth", "duration"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

# Samples that a 99th percentile needs: of fewer, it would be the largest one.
_FOR_P99 = 100

# Repetitions of which the lowest and the highest are left out, so that one disturbed repetition is not noise.
_FOR_MIDDLE = 5

# The part of a figure by which the medians of its repetitions may differ. Beyond it the figure says nothing.
_NOISE = 0.5


@dataclass(frozen=True)
class Figure:
    """A measurement. Latencies and durations are nanoseconds, bandwidths bytes a second.

    `median` is that of all samples; `low` and `high` are the lowest and highest median of a repetition, of five or more
    repetitions without the two extremes. `floor` is the
    figure that the same number of empty calls gives, `python` that of calls which do not even enter the kernel: what
    Python alone takes. 0 where no call is made by Python.
    """

    mechanism: str
    quantity: Quantity
    size: int  # bytes of the message; 0 for what has none
    median: float
    low: float
    high: float
    p99: float | None
    samples: int
    repetitions: int
    floor: float = 0.0
    python: float = 0.0
    pieces: int = 1

    @property
    def spread(self) -> float | None:
        """The range of the repetitions relative to the median, to each side; None for a single repetition."""
        return (self.high - self.low) / 2 / self.median if self.repetitions > 1 and self.median else None

    @property
    def is_noise(self) -> bool:
        """Whether the repetitions differ so much that the figure means nothing."""
        return self.median <= 0 or (self.repetitions > 1 and self.high - self.low > _NOISE * self.median)

    @property
    def is_mostly_calls(self) -> bool:
        """Whether empty calls alone take half of the figure: it measures the calls, not the mechanism."""
        if not self.floor:
            return False
        return self.median > self.floor / 2 if self.quantity == "bandwidth" else self.median < 2 * self.floor

    def may_be_better_than(self, other: Figure) -> bool:
        """Whether the best repetition is better than the worst one of another figure of its quantity."""
        return self.high > other.low if self.quantity == "bandwidth" else self.low < other.high

    def is_better_than(self, other: Figure) -> bool | None:
        """Whether the figure is better than another of its quantity; None if noise or Python's own time decides."""
        if self.is_noise or other.is_noise:
            return None
        plain = self._beats((self.low, self.high), (other.low, other.high))
        # The same without Python's time, which differs between ways of calling.
        less = self._beats(self.without_python(), other.without_python())
        return plain if plain == less else None

    def _beats(self, own: tuple[float, float], others: tuple[float, float]) -> bool | None:
        if own[0] <= others[1] and others[0] <= own[1]:
            return None
        return own[0] > others[1] if self.quantity == "bandwidth" else own[1] < others[0]

    def without_python(self) -> tuple[float, float]:
        """Return the lowest and the highest repetition, less the time that Python alone takes."""
        if not self.python:
            return self.low, self.high
        if self.quantity != "bandwidth":
            return max(self.low - self.python, 0.0), max(self.high - self.python, 0.0)
        # Bytes a second, of which Python alone would give `python`: the times of a byte are subtracted.
        least = 1 / self.python
        return 1 / max(1 / self.low - least, 1e-15), 1 / max(1 / self.high - least, 1e-15)


def summarize(
    mechanism: str,
    quantity: Quantity,
    size: int,
    repetitions: Sequence[Sequence[float]],
    *,
    floor: float = 0.0,
    python: float = 0.0,
    pieces: int = 1,
) -> Figure:
    """Return the figure of the samples of each repetition. ValueError without samples."""
    medians = sorted(median(samples) for samples in repetitions if samples)
    every = sorted(sample for samples in repetitions for sample in samples)
    if not every:
        raise ValueError(f"{mechanism}: a figure needs at least 1 sample, not 0")
    p99 = percentile(every, 99) if len(every) >= _FOR_P99 and quantity != "bandwidth" else None
    middle = medians[1:-1] if len(medians) >= _FOR_MIDDLE else medians
    return Figure(
        mechanism,
        quantity,
        size,
        median(every),
        middle[0],
        middle[-1],
        p99,
        len(every),
        len(medians),
        floor,
        python,
        pieces,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the *ordered* samples that at least *percent* of them do not exceed (nearest rank)."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
