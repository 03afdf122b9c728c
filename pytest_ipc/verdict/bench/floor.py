"""The floor of every figure: what the calls cost if they do nothing.

Python's own time is part of each measurement. So the same loop is measured with calls that do nothing: getppid(2) only
enters the kernel and returns, other calls do not even that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ctypes import c_int, c_long
from dataclasses import dataclass
from time import perf_counter_ns

from .channel import BUILTIN, MEMORY, NATIVE
from .memory_channels import loopback
from .native_calls import check_again, pointer

__all__ = ["CallCost", "measure", "total"]

_LOOPS, _CALLS = 15, 1000


@dataclass(frozen=True)
class CallCost:
    """Nanoseconds of a call made in one way: `empty` is getppid(2), `python` a call that does not enter the kernel."""

    way: str
    empty: float
    python: float


def measure() -> dict[str, CallCost]:
    """Return the cost of a call by way of calling."""
    getppid, status = os.getppid, os.WEXITSTATUS

    def empty_builtin() -> None:
        if getppid() < 0:
            raise OSError

    def python_builtin() -> None:
        if status(0) < 0:
            raise OSError

    native, absolute = pointer("getppid", c_int), pointer("labs")
    number = c_long(7)

    def empty_native() -> None:
        while native(number, number, number, number) == -1:  # as many arguments as the calls that are measured have
            check_again("getppid")

    def python_native() -> None:
        while absolute(number, number, number, number) == -1:
            check_again("labs")

    # A message of one byte from this process to itself: a store, a look and two copies of one byte, all of it Python.
    alone = loopback()

    def memory() -> None:
        alone.send()
        alone.receive()

    message = _nanoseconds(memory) / 2  # of each side

    # Every call of a mechanism is one of these, in a function of Python, in a loop.
    return {
        BUILTIN: CallCost(BUILTIN, _nanoseconds(empty_builtin), _nanoseconds(python_builtin)),
        NATIVE: CallCost(NATIVE, _nanoseconds(empty_native), _nanoseconds(python_native)),
        MEMORY: CallCost(MEMORY, message, message),
    }


def _nanoseconds(call: Callable[[], None]) -> float:
    """Return the time of *call* in the fastest of some loops: the others were disturbed, and a floor is a minimum."""
    times = []
    for _ in range(_LOOPS):
        start = perf_counter_ns()
        for _ in range(_CALLS):
            call()
        times.append((perf_counter_ns() - start) / _CALLS)
    return min(times)


def total(costs: Mapping[str, CallCost], calls: Mapping[str, int]) -> tuple[float, float]:
    """Return the nanoseconds of *calls*, a number for each way: empty, and of Python alone."""
    empty = sum(number * costs[way].empty for way, number in calls.items())
    return empty, sum(number * costs[way].python for way, number in calls.items())
