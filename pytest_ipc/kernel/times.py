"""Times of the timer calls: seconds and a fraction, exactly as given, valid or not.

The fraction is not normalized: that 1,000,000,000 nanoseconds are refused is a clause of several pages.
"""

from __future__ import annotations

from ctypes import CDLL, addressof, c_int, c_long, c_void_p, sizeof
from dataclasses import dataclass
from typing import Any, Self

from . import abi
from .libc import LONG, check_integer

__all__ = ["ItimerSpec", "ItimerVal", "Timespec", "Timeval"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


# Seconds that fit a time_t and that the kernel treats as never.
_MOST = 2.0**31 - 1 if sizeof(c_long) == 4 else 1e11


# Past libc.py: the call is not the test's, so it does not belong to the evidence.
_clock_gettime = CDLL(None).clock_gettime
_clock_gettime.argtypes = (c_int, c_void_p)


def time_of(clock: int) -> int:
    """Return the time of *clock* in nanoseconds (clock_gettime(2)).

    It comes from libc, because time-machine replaces Python's function in C.
    """
    buffer = (c_long * 2)()
    _clock_gettime(clock, addressof(buffer))
    return buffer[0] * 1_000_000_000 + buffer[1]


@dataclass(frozen=True, slots=True, order=True)
class Timespec:
    """struct timespec: seconds and nanoseconds."""

    sec: int = 0
    nsec: int = 0

    @classmethod
    def of(cls, seconds: float) -> Self:
        """Return a time of *seconds*, truncated to nanoseconds and to the range of time_t."""
        seconds = min(seconds, _MOST)
        whole, rest = divmod(seconds, 1)
        return cls(int(whole), int(rest * 1_000_000_000))  # truncated: rounding up to a whole second would be EINVAL

    @classmethod
    def ahead(cls, seconds: float, clock: int) -> Self:
        """Return the time of *clock* that is *seconds* ahead, at most the last one of a time_t."""
        sec, nsec = divmod(time_of(clock) + int(min(seconds, _MOST) * 1_000_000_000), 1_000_000_000)
        return cls(min(sec, int(_MOST)), nsec)

    @property
    def seconds(self) -> float:
        """Return the time in seconds."""
        return self.sec + self.nsec / 1_000_000_000

    def pack(self) -> Any:
        """Return the C structure. OverflowError for a value that does not fit the machine's long."""
        check_integer("tv_sec", self.sec, LONG)
        check_integer("tv_nsec", self.nsec, LONG)
        return abi.timespec(self.sec, self.nsec)


@dataclass(frozen=True, slots=True, order=True)
class Timeval:
    """struct timeval: seconds and microseconds."""

    sec: int = 0
    usec: int = 0

    @classmethod
    def of(cls, seconds: float) -> Self:
        """Return a time of *seconds*, truncated to microseconds."""
        whole, rest = divmod(seconds, 1)
        return cls(int(whole), int(rest * 1_000_000))

    @property
    def seconds(self) -> float:
        """Return the time in seconds."""
        return self.sec + self.usec / 1_000_000

    def pack(self) -> Any:
        """Return the C structure. OverflowError for a value that does not fit the machine's long."""
        check_integer("tv_sec", self.sec, LONG)
        check_integer("tv_usec", self.usec, LONG)
        return abi.timeval(self.sec, self.usec)


@dataclass(frozen=True, slots=True)
class ItimerSpec:
    """struct itimerspec: the next expiration (0: disarmed) and the interval after it (0: once)."""

    value: Timespec = Timespec()
    interval: Timespec = Timespec()

    def pack(self) -> Any:
        """Return the C structure. OverflowError for a value that does not fit."""
        return abi.itimerspec(self.interval.pack(), self.value.pack())

    @classmethod
    def read(cls, raw: Any) -> Self:
        """Return the values of the C structure."""
        return cls(Timespec(raw.value.tv_sec, raw.value.tv_nsec), Timespec(raw.interval.tv_sec, raw.interval.tv_nsec))


@dataclass(frozen=True, slots=True)
class ItimerVal:
    """struct itimerval: the next expiration (0: disarmed) and the interval after it (0: once)."""

    value: Timeval = Timeval()
    interval: Timeval = Timeval()

    def pack(self) -> Any:
        """Return the C structure. OverflowError for a value that does not fit."""
        return abi.itimerval(self.interval.pack(), self.value.pack())

    @classmethod
    def read(cls, raw: Any) -> Self:
        """Return the values of the C structure."""
        return cls(Timeval(raw.value.tv_sec, raw.value.tv_usec), Timeval(raw.interval.tv_sec, raw.interval.tv_usec))
