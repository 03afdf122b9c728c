"""Wait with a deadline for a condition that the kernel can be asked about.

Where the kernel has an event for it, that event is waited for. Where it has none (another process has fallen asleep in a
call, somebody opened a FIFO), the question is asked again and again, a millisecond apart at most, until the answer is yes
or the time is over: never a sleep that hopes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ..unpatched import select, time

__all__ = ["CLOCK_REALTIME_COARSE", "DEFAULT_TIMEOUT", "Deadline", "patience", "set_patience"]

CLOCK_REALTIME_COARSE = 5  # clock_gettime(2); what the kernel stamps objects with, and missing in the stdlib

# Long enough for a loaded machine, short enough that a suite with one hang still ends; xdist allows a worker 10 s to stop. A
# child that starts a program may need more where there is six times as much to do as there are processors: give it more there.
DEFAULT_TIMEOUT = 5.0


_patience = 1.0


def patience() -> float:
    """Return the factor by which deadlines are longer than asked for; 1 unless set_patience() was called."""
    return _patience


def set_patience(factor: float) -> None:
    """Make every later deadline of this process *factor* times as long, for a platform that is so much slower."""
    global _patience
    _patience = factor


class Deadline:
    """A moment in monotonic time, *timeout* seconds from now; never, if that is None."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + timeout * _patience

    @property
    def left(self) -> float:
        """Seconds that remain; 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def left_ms(self) -> float | None:
        """Milliseconds that remain, for poll(2): None where it never passes, and no more than an int can hold."""
        return None if math.isinf(self._end) else min(self.left * 1000, 2**31 - 1)

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def rounds(self, fd: int | None = None, *, told: bool = False) -> Iterator[None]:
        """Ask-again rounds until the time is over; at least one.

        The first come without a pause, later ones a millisecond apart or as soon as *fd* becomes readable. Where that is
        *told* to be the answer there is no need to ask before, and a processor less is busy with asking.
        """
        poll = select.poll()
        if fd is not None:
            poll.register(fd, select.POLLIN)
        pauses = 0
        while True:
            yield
            if self.passed:
                return
            if told and fd is not None:
                poll.poll(min(self.left, 1.0) * 1000 + 1)
            else:
                poll.poll(0 if pauses < 5 else 1)
            pauses += 1

    def until(self, question: Callable[[], bool], fd: int | None = None, *, told: bool = False) -> bool:
        """Ask *question* until it says yes; False when the time is over before it does."""
        return any(question() for _ in self.rounds(fd, told=told))
