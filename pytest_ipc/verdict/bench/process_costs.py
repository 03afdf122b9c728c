"""What it costs to start a process, and to switch from one to another."""

from __future__ import annotations

import os
import shutil
import signal
from array import array
from collections.abc import Callable, Sequence
from ctypes import c_int
from dataclasses import dataclass
from statistics import median
from time import monotonic, perf_counter_ns

from .byte_channels import open_pipe
from .channel import NotMeasured
from .cpus import Pins, pin
from .native_calls import HOLDING_THE_GIL
from .pair import new_pair

__all__ = ["COSTS", "Cost"]

_BATCH = 20  # processes started between two looks for a signal
_SWITCHES = 200


@dataclass(frozen=True)
class Cost:
    """A cost: `id` in reports, `title` for people, `measure` returns samples in nanoseconds. OSError, NotMeasured."""

    id: str
    title: str
    measure: Callable[[Pins, float, float], Sequence[float]]


def _fork(_pins: Pins, budget: float, _limit: float) -> Sequence[float]:
    """Return the times of a fork, the exit of the child and the wait for it, without Python's work around a fork."""
    fork, leave = HOLDING_THE_GIL["fork"], HOLDING_THE_GIL["_exit"]
    fork.restype, status = c_int, c_int(0)

    def once() -> None:
        child = fork()
        if child == 0:
            leave(status)
        if child == -1:
            raise OSError("fork failed")
        os.waitpid(child, 0)

    return _many(once, budget)


def _exec(_pins: Pins, budget: float, _limit: float) -> Sequence[float]:
    """Return the times of a start of the program `true` and the wait for its end."""
    program = shutil.which("true")
    if program is None:
        raise NotMeasured("needs the program true, which is not in PATH")
    arguments, environment = [program], dict[str, str]()

    def once() -> None:
        os.waitpid(os.posix_spawn(program, arguments, environment), 0)

    return _many(once, budget)


def _many(once: Callable[[], None], budget: float) -> Sequence[float]:
    """Return the times of *once* for *budget* seconds, and at least _BATCH of them.

    Signals wait until a batch has ended: a child must not run this process's handlers.
    """
    times = list[float]()
    end = monotonic() + budget
    while not times or monotonic() < end:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for _ in range(_BATCH):
                start = perf_counter_ns()
                once()
                times.append(perf_counter_ns() - start)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return times


def _switch(pins: Pins, budget: float, limit: float) -> Sequence[float]:
    """Return the times of a switch: half a round trip on one CPU, less the same calls in a single process."""
    if pins.ours is None:
        raise NotMeasured(f"needs both processes on one CPU, but they are {pins.said}")
    times = list[float]()
    together = Pins(pins.ours, pins.ours, "")
    with new_pair(open_pipe, b"\0", together, limit) as pair:
        pin(pins.ours)
        pair.round_trips(_SWITCHES)
        end = monotonic() + budget
        while not times or monotonic() < end:
            alone = _alone(_SWITCHES)
            times += [trip / 2 - alone for trip in pair.round_trips(_SWITCHES)]
    return times


def _alone(count: int) -> float:
    """Return the median time of a write to a pipe and a read from it by one process."""
    reader, writer = os.pipe()
    data, whole, times = b"\0", [bytearray(1)], array("q")
    try:
        for _ in range(count):
            start = perf_counter_ns()
            os.write(writer, data)
            os.readv(reader, whole)
            times.append(perf_counter_ns() - start)
    finally:
        os.close(reader)
        os.close(writer)
    return median(times)


COSTS = (
    Cost("fork", "fork, exit, wait", _fork),
    Cost("exec", "start a program, exit, wait", _exec),
    Cost("context-switch", "context switch", _switch),
)
