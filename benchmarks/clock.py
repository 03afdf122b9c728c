"""Seconds of one operation, by the clock and of CPU time, which other processes of the machine disturb less."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

__all__ = ["Sample", "Stopwatch", "Way", "repeated"]


@dataclass(frozen=True)
class Sample:
    """What one operation took, in seconds: by the clock, and of CPU time including that of ended children."""

    wall: float
    cpu: float


Way = Callable[[int], Sample]  # does the operation that many times, and returns what one of them took


@dataclass(frozen=True)
class Stopwatch:
    """Both clocks at one moment."""

    wall: float
    cpu: float

    @classmethod
    def start(cls) -> Self:
        """Read both clocks, the one that counts this call's own time last."""
        return cls(cpu=_cpu(), wall=time.perf_counter())

    def stop(self, loops: int = 1) -> Sample:
        """Return what one of *loops* operations took since then."""
        wall = time.perf_counter()
        return Sample((wall - self.wall) / loops, (_cpu() - self.cpu) / loops)


def repeated(operation: Callable[[], object]) -> Way:
    """Return the way that calls *operation* again and again."""

    def way(loops: int) -> Sample:
        begin = Stopwatch.start()
        for _ in range(loops):
            operation()
        return begin.stop(loops)

    return way


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
