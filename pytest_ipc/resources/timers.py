"""Timers as objects: one read through a descriptor, timerfd_create(2), and one that sends signals, timer_create(2).

Both end with the process, so neither is in the ledger.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from ..kernel.timerfd import (
    TFD_CLOEXEC,
    TFD_TIMER_ABSTIME,
    timerfd_create,
    timerfd_gettime,
    timerfd_read,
    timerfd_settime,
)
from ..kernel.timers import (
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD_ID,
    TIMER_ABSTIME,
    timer_create,
    timer_delete,
    timer_getoverrun,
    timer_gettime,
    timer_settime,
)
from ..kernel.times import ItimerSpec, Timespec
from ..resource import DEFAULT, Resource, Timeout
from ..unpatched import time
from .descriptor import Descriptor

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["SignalTimer", "TimerFd"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class TimerFd(Descriptor):
    """A timer with a descriptor that is readable after its expiration (timerfd_create(2)). set() starts it."""

    @classmethod
    def create(cls, clock: int = time.CLOCK_MONOTONIC, *, flags: int = TFD_CLOEXEC, scope: Scope | None = None) -> Self:
        """Create a timer of the *clock* (timerfd_create(2)). OSError: EINVAL for an unknown clock or flag, EMFILE."""
        return cls(timerfd_create(clock, flags), "timer", scope)

    def set(self, seconds: float, interval: float = 0, *, absolute: bool = False) -> ItimerSpec:
        """Start the timer, to expire in *seconds*, or at that time if *absolute*, and every *interval* seconds after.

        0 disarms the timer. Return the previous setting. Raises ValueError for a negative time.
        """
        return timerfd_settime(self.fileno(), _setting(seconds, interval), TFD_TIMER_ABSTIME if absolute else 0)

    @property
    def left(self) -> float:
        """Return the remaining seconds; 0 if the timer does not run."""
        return timerfd_gettime(self.fileno()).value.seconds

    def read(self, *, timeout: Timeout = DEFAULT) -> int:
        """Wait for an expiration and return the number of them since the timer was set or last read.

        Raises TimeoutError after *timeout* seconds.
        """
        return self._taking(lambda: timerfd_read(self._fd), timeout, "the end of the time of")

    def _state(self) -> str:
        return f"{self.left:g} s remain" if self.left else "it is not armed"


class SignalTimer(Resource):
    """A timer that sends a signal (timer_create(2)), created by `Signals.timer`. set() starts it."""

    def __init__(self, timer: int, name: str) -> None:
        self._timer = timer
        self._deleted = False
        self._name = name
        super().__init__()

    @classmethod
    def create(cls, signo: int | None, *, clock: int, value: int, thread: int | None) -> Self:
        """Create a timer of the *clock* that sends *signo*, or no signal, to the process or a thread (timer_create(2)).

        Raises OSError.
        """
        if signo is None:
            return cls(timer_create(clock, SIGEV_NONE), "timer without a signal")
        notify = SIGEV_SIGNAL if thread is None else SIGEV_THREAD_ID
        return cls(timer_create(clock, notify, signo, value=value, tid=thread or 0), f"timer of signal {signo}")

    def __repr__(self) -> str:
        return f"<{self._name}>"

    @property
    def id(self) -> int:
        """The timer_t as a number, for the calls of timer_settime(2)."""
        self._usable()
        return self._timer

    def set(self, seconds: float, interval: float = 0, *, absolute: bool = False) -> ItimerSpec:
        """Start the timer, to expire in *seconds*, or at that time if *absolute*, and every *interval* seconds after.

        0 disarms the timer. Return the previous setting. Raises ValueError for a negative time.
        """
        return timer_settime(self.id, _setting(seconds, interval), TIMER_ABSTIME if absolute else 0)

    @property
    def left(self) -> float:
        """Return the remaining seconds; 0 if the timer does not run."""
        return timer_gettime(self.id).value.seconds

    @property
    def overrun(self) -> int:
        """Return the number of expirations between generation and delivery of the last signal (timer_getoverrun(2))."""
        return timer_getoverrun(self.id)

    def _end(self) -> None:
        if not self._deleted:
            self._deleted = True
            timer_delete(self._timer)


def _setting(seconds: float, interval: float) -> ItimerSpec:
    for what in (seconds, interval):
        if isinstance(what, bool) or not isinstance(what, (int, float)):
            raise TypeError(f"the time of a timer must be a number of seconds, not {what!r}")
        if not (math.isfinite(what) and what >= 0):
            raise ValueError(f"the time of a timer must be a non-negative number of seconds, not {what!r}")
    value = Timespec.of(seconds)
    # Less than a nanosecond becomes one: 0 would disarm the timer.
    return ItimerSpec(value if value != Timespec() or not seconds else Timespec(0, 1), Timespec.of(interval))
