"""Measure how much slower this platform is than the one for which the deadlines were chosen.

An emulated processor, a sandbox that follows every system call or a machine with ten times as much to do as it has processors
takes many times as long for the same clause. What does not come to an end there within a fixed time need not hang.
"""

from __future__ import annotations

import os
from functools import cache
from time import perf_counter

from ...kernel.bare_fork import fork

__all__ = ["slowness"]

# Seconds that a fork and a loop take at most on a machine for which the deadlines are long enough as they are.
_FORK, _LOOP = 0.005, 0.010

_FORKS = 6

# A platform on which a clause of a minute would take longer than this is judged by nobody.
_MOST = 20.0


@cache
def slowness() -> float:
    """Return the factor for deadlines, from 1 to 20: what forks and Python's own work take here, against what they may take."""
    return min(_MOST, max(1.0, _fork() / _FORK, _loop() / _LOOP))


def _fork() -> float:
    """Seconds for a fork of this process and the end of the child, on average."""
    start = perf_counter()
    for _ in range(_FORKS):
        try:
            child = fork()
        except OSError:  # a limit that clauses will meet, too
            return 0.0
        if child == 0:
            os._exit(0)
        try:
            os.waitpid(child, 0)
        except ChildProcessError:  # where SIGCHLD is ignored
            continue
    return (perf_counter() - start) / _FORKS


def _loop() -> float:
    """Seconds for some work of the interpreter alone."""
    start = perf_counter()
    sum(number * number for number in range(100_000))
    return perf_counter() - start
