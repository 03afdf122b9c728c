"""Wait with a deadline for a condition that the kernel can be asked about.

Where the kernel reports an event for the condition, the wait is for that event. Otherwise (another process sleeps in a
call, a FIFO was opened) the condition is polled at most a millisecond apart until it is true or the time is over.
Nothing depends on the length of a sleep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ..unpatched import select, time

__all__ = ["CLOCK_REALTIME_COARSE", "DEFAULT_TIMEOUT", "Deadline", "patience", "set_patience"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

CLOCK_REALTIME_COARSE = 5  # clock_gettime(2): the clock of the kernel's timestamps; not in the stdlib

# Long enough for a loaded machine, short enough that a suite with one hang ends; xdist gives a worker 10 s to stop. A
# child that starts a program may need more on a machine with six busy processes per CPU: pass a longer timeout there.
DEFAULT_TIMEOUT = 5.0


# Seconds between two looks of a wait for an event: a process that floods its output is kept in bounds meanwhile.
_GLANCE = 0.1

_patience = 1.0


def patience() -> float:
    """Return the factor by which all deadlines are extended: 1 unless set_patience() was called."""
    return _patience


def set_patience(factor: float) -> None:
    """Extend all later deadlines of this process by *factor*, for a slow platform."""
    global _patience
    _patience = factor


class Deadline:
    """A moment in monotonic time, *timeout* seconds from now; never if *timeout* is None."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + timeout * _patience

    @property
    def left(self) -> float:
        """Return the remaining seconds; 0 after the deadline."""
        return max(0.0, self._end - time.monotonic())

    @property
    def left_ms(self) -> float | None:
        """Return the remaining milliseconds for poll(2), limited to an int; None without a deadline."""
        return None if math.isinf(self._end) else min(self.left * 1000, 2**31 - 1)

    @property
    def passed(self) -> bool:
        """Return whether the time is over."""
        return time.monotonic() >= self._end

    def rounds(self, fd: int | None = None, *, notified: bool = False) -> Iterator[None]:
        """Yield once for each time that a condition is to be checked, until the time is over; at least once.

        The first rounds follow without a pause, later ones after a millisecond or when *fd* becomes readable. With
        *notified*, the condition changes only when *fd* becomes readable: the rounds wait for that and use hardly
        any CPU time.
        """
        poll = select.poll()
        if fd is not None:
            poll.register(fd, select.POLLIN)
        pauses = 0
        while True:
            yield
            if self.passed:
                return
            if notified and fd is not None:
                poll.poll(min(self.left, _GLANCE) * 1000 + 1)
            else:
                poll.poll(0 if pauses < 5 else 1)
            pauses += 1

    def until(self, question: Callable[[], bool], fd: int | None = None, *, notified: bool = False) -> bool:
        """Return whether *question* becomes true before the time is over; *fd* and *notified* are those of rounds()."""
        return any(question() for _ in self.rounds(fd, notified=notified))
