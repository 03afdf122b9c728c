"""Measure every mechanism with every size, in repetitions.

A repetition measures everything once. So a disturbance of some seconds falls on one repetition of many figures, where
the spread shows it, and not on all samples of a few.
"""

from __future__ import annotations

import gc
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from ..runner.speed import slowness
from . import cpus, floor, units
from .channel import Channel, NotMeasured
from .cpus import Pins
from .figures import Figure, Quantity, summarize
from .mechanisms import MECHANISMS, Mechanism
from .pair import Pair, new_pair
from .process_costs import COSTS, Cost

__all__ = ["FULL", "LIMIT", "QUICK", "Bench", "Listener", "Missing", "Plan"]


@dataclass(frozen=True)
class Plan:
    """What is measured: messages of these `sizes` in bytes, `seconds` for each figure of a repetition."""

    sizes: tuple[int, ...]
    repetitions: int
    seconds: float


FULL = Plan((1, 64, 1024, 4096, 65536, 1 << 20, 16 << 20), 5, 0.04)
QUICK = Plan((1, 4096, 65536, 1 << 20), 3, 0.01)

# Seconds for one mechanism and size, longer on a slow platform.
LIMIT = 20.0

_MOST, _LEAST = 2000, 3  # samples of a repetition
_STREAMS, _SHORTEST = 3, 3  # streams of a repetition, and messages of a stream


@dataclass(frozen=True)
class Missing:
    """The reason why there is no figure of a mechanism, or of one with a size."""

    mechanism: str
    size: int  # 0 for every size
    reason: str


class Listener(Protocol):
    """The receiver of events while a benchmark runs."""

    def step(self, number: int, what: str) -> None:
        """Handle the start of step *number*, the first being 1."""

    def measured(self, figure: Figure) -> None:
        """Handle a figure, which replaces an earlier one of the same mechanism, quantity and size."""

    def missing(self, entry: Missing) -> None:
        """Handle the reason for a figure that will not come."""


Key = tuple[str, Quantity, int]


@dataclass
class Bench:
    """A run; what is measured at any time, also after an interruption, is in `figures` and `reasons`."""

    plan: Plan
    listener: Listener
    mechanisms: Sequence[Mechanism] = MECHANISMS
    costs: Sequence[Cost] = COSTS
    figures: dict[Key, Figure] = field(default_factory=dict)
    reasons: dict[tuple[str, int], Missing] = field(default_factory=dict)
    _samples: dict[Key, list[Sequence[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pins: cpus.Pins = cpus.choose()
        self.calls: dict[str, floor.CallCost] = floor.measure()

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self.plan.repetitions * (len(self.mechanisms) * len(self.plan.sizes) + len(self.costs))

    def run(self) -> None:
        """Measure. KeyboardInterrupt leaves the figures so far."""
        number = 0
        with _undisturbed(self.pins):
            for _ in range(self.plan.repetitions):
                for mechanism, size in ((m, s) for m in self.mechanisms for s in self.plan.sizes):
                    number += 1
                    gc.collect()  # the buffers of the last messages: a fork takes longer with more memory
                    self.listener.step(number, f"{mechanism.title}, {units.size(size)}")
                    if (mechanism.id, 0) not in self.reasons and (mechanism.id, size) not in self.reasons:
                        self._measure(mechanism, size)
                for cost in self.costs:
                    number += 1
                    gc.collect()
                    self.listener.step(number, cost.title)
                    if (cost.id, 0) not in self.reasons:
                        self._measure_cost(cost)

    def _measure(self, mechanism: Mechanism, size: int) -> None:
        try:
            if mechanism.needs_two_cpus and self.pins.are_one:
                raise NotMeasured("needs 2 CPUs: on one, a polling process keeps the other from running", ends_all=True)
            # Another message each time: no cache of a platform can know it.
            message = (os.urandom(1024) * -(-size // 1024))[:size]
            with new_pair(mechanism.opening, message, self.pins, LIMIT * slowness()) as pair:
                trips = array("d", _round_trips(pair, self.plan.seconds))
                rates = list(_rates(pair, size, self.plan.seconds)) if pair.channel.carries_data else []
                channel = pair.channel
        except NotMeasured as reason:
            self._miss(mechanism.id, 0 if reason.ends_all else size, str(reason))
        except OSError as error:
            self._miss(mechanism.id, size, error.strerror or str(error))  # with the name of the call
        else:
            self._add(mechanism.id, "latency", size, trips, channel)
            if rates:
                self._add(mechanism.id, "bandwidth", size, rates, channel)

    def _measure_cost(self, cost: Cost) -> None:
        try:
            samples = cost.measure(self.pins, self.plan.seconds, LIMIT * slowness())
        except (NotMeasured, OSError) as reason:
            self._miss(cost.id, 0, getattr(reason, "strerror", None) or str(reason))
        else:
            self._add(cost.id, "duration", 0, samples, None)

    def _miss(self, mechanism: str, size: int, reason: str) -> None:
        entry = Missing(mechanism, size, reason)
        self.reasons[mechanism, size] = entry
        self.listener.missing(entry)

    def _add(
        self, mechanism: str, quantity: Quantity, size: int, samples: Sequence[float], channel: Channel | None
    ) -> None:
        key = (mechanism, quantity, size)
        repetitions = self._samples.setdefault(key, [])
        repetitions.append(samples)
        empty = python = 0.0
        if channel is not None:
            empty, python = self._floor(quantity, size, channel)
        pieces = 1 if channel is None else channel.pieces
        figure = summarize(mechanism, quantity, size, repetitions, floor=empty, python=python, pieces=pieces)
        self.figures[key] = figure
        self.listener.measured(figure)

    def _floor(self, quantity: Quantity, size: int, channel: Channel) -> tuple[float, float]:
        """Return the figure of empty calls, and that of calls that do not enter the kernel."""
        sent, taken = (floor.total(self.calls, calls) for calls in (channel.send_calls, channel.receive_calls))
        if quantity == "latency":  # a round trip is all calls of both processes, one after the other
            return 2 * (sent[0] + taken[0]), 2 * (sent[1] + taken[1])
        slower = max(sent[0], taken[0]), max(sent[1], taken[1])  # the processes work at the same time
        return tuple(size * 1e9 / nanoseconds for nanoseconds in slower)  # type: ignore[return-value] # two of them


def _round_trips(pair: Pair, seconds: float) -> Iterator[float]:
    """Yield the times of round trips for *seconds*, after a warm-up."""
    pair.round_trips(1)
    warm = pair.round_trips(_LEAST)
    # The shortest, as the others may include the time of other programs.
    count = max(_LEAST, min(_MOST // 4, int(seconds * 1e9 / 4 / max(min(warm), 1))))
    if min(warm) * count < seconds * 1e9:
        pair.round_trips(count)
    done, end = 0, monotonic() + seconds
    while done < _LEAST or (done < _MOST and monotonic() < end):
        yield from pair.round_trips(count)
        done += count


def _rates(pair: Pair, size: int, seconds: float) -> Iterator[float]:
    """Yield the bandwidth of some streams, in bytes a second, after a warm-up that finds their length."""
    count = _SHORTEST
    while (took := min(pair.stream(count), pair.stream(count))) < seconds * 1e9 / 4:
        count *= 2 if took > seconds * 1e9 / 100 else 8
    for _ in range(_STREAMS):
        yield size * count * 1e9 / pair.stream(count)


@contextmanager
def _undisturbed(pins: Pins) -> Iterator[None]:
    """Pin this process in the block, and keep the garbage collector from running on its own."""
    allowed = os.sched_getaffinity(0) if pins.ours is not None else None
    collects = gc.isenabled()
    gc.disable()
    gc.freeze()  # what exists now is not looked at again by each collection between two measurements
    cpus.pin(pins.ours)
    try:
        yield
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
        if allowed is not None:
            os.sched_setaffinity(0, allowed)
