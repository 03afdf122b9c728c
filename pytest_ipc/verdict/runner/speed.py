"""Measure how much slower this platform is than the one for which the deadlines were chosen.

An emulated CPU, a sandbox that traces every system call, or a machine with ten busy processes per CPU takes many times
as long for the same clause. A clause that does not end in a fixed time need not hang there.
"""

from __future__ import annotations

import os
from functools import cache
from time import perf_counter

from ...kernel.bare_fork import fork

__all__ = ["slowness"]

# Seconds of a fork and of a loop, at most, on a machine for which the deadlines are long enough.
_FORK, _LOOP = 0.005, 0.010

_FORKS = 6

# A platform on which a clause of a minute takes longer than this is not judged.
_MOST = 20.0


@cache
def slowness() -> float:
    """Return the factor for deadlines, from 1 to 20: times of forks and Python code, relative to the expected ones."""
    return min(_MOST, max(1.0, _fork() / _FORK, _loop() / _LOOP))


def _fork() -> float:
    """Return the average seconds of a fork and the end of the child."""
    start = perf_counter()
    for _ in range(_FORKS):
        try:
            child = fork()
        except OSError:  # a limit that also affects clauses
            return 0.0
        if child == 0:
            os._exit(0)
        try:
            os.waitpid(child, 0)
        except ChildProcessError:  # if SIGCHLD is ignored
            continue
    return (perf_counter() - start) / _FORKS


def _loop() -> float:
    """Return the seconds of a loop in the interpreter."""
    start = perf_counter()
    sum(number * number for number in range(100_000))
    return perf_counter() - start
