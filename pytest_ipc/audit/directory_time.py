"""Whether the modification time of a directory shows every later change."""

from __future__ import annotations

from ..kernel.times import time_of
from ..unpatched import time

__all__ = ["shows_changes"]

_SECOND = 1_000_000_000  # nanoseconds
_TICK = 20_000_000  # more than a clock tick of any kernel
_COARSEST = 2 * _SECOND  # vfat; the file system of message queues has whole seconds


def shows_changes(changed: int) -> bool:
    """Return whether a change from now on gets another time than *changed*, the last one, in nanoseconds.

    A time that is a whole second may be of a file system that has no others.
    """
    step = _COARSEST if changed % _SECOND == 0 else 0
    return time_of(time.CLOCK_REALTIME) - changed > step + _TICK
