"""Timers that send signals: timer_create(2), timer_settime(2), setitimer(2), alarm(2).

Python's signal.setitimer takes floats and raises its own exception; these functions take the page's values and raise
its errno.
"""

from __future__ import annotations

from ctypes import byref, c_int, c_uint, c_void_p
from typing import Any

from . import abi
from .libc import INT, SIZE, check_integer, function, never
from .times import ItimerSpec, ItimerVal

__all__ = [
    "CLOCK_BOOTTIME_ALARM",
    "CLOCK_REALTIME_ALARM",
    "DELAYTIMER_MAX",
    "ITIMER_PROF",
    "ITIMER_REAL",
    "ITIMER_VIRTUAL",
    "SIGEV_NONE",
    "SIGEV_SIGNAL",
    "SIGEV_THREAD",
    "SIGEV_THREAD_ID",
    "TIMER_ABSTIME",
    "alarm",
    "getitimer",
    "setitimer",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SIGEV_SIGNAL = 0
SIGEV_NONE = 1
SIGEV_THREAD = 2
SIGEV_THREAD_ID = 4

TIMER_ABSTIME = 1
DELAYTIMER_MAX = 0x7FFF_FFFF

# The other clocks are in the stdlib's time module.
CLOCK_REALTIME_ALARM = 8
CLOCK_BOOTTIME_ALARM = 9

ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF = 0, 1, 2

_timer_create = function("timer_create", c_int, c_int, c_void_p, c_void_p)
_timer_settime = function("timer_settime", c_int, c_void_p, c_int, c_void_p, c_void_p)
_timer_gettime = function("timer_gettime", c_int, c_void_p, c_void_p)
_timer_getoverrun = function("timer_getoverrun", c_int, c_void_p)
_timer_delete = function("timer_delete", c_int, c_void_p)
_setitimer = function("setitimer", c_int, c_int, c_void_p, c_void_p)
_getitimer = function("getitimer", c_int, c_int, c_void_p)
_alarm = function("alarm", c_uint, c_uint, fails=never)


def timer_create(clockid: int, notify: int | None = None, signo: int = 0, *, value: int = 0, tid: int = 0) -> int:
    """Create a disarmed timer and return its timer_t as a number (timer_create(2)). OSError.

    *notify* is SIGEV_SIGNAL, SIGEV_NONE or SIGEV_THREAD_ID, with the members of struct sigevent that it needs; None
    passes a null pointer, which means SIGALRM with the timer's id as its value. ValueError for SIGEV_THREAD, which
    needs a C function.
    """
    if notify == SIGEV_THREAD:
        raise ValueError("timer_create: notify must not be SIGEV_THREAD, which needs a C function; use SIGEV_THREAD_ID")
    event: Any = None
    if notify is not None:
        for member in (notify, signo, value, tid):
            check_integer("timer_create", member, INT)
        event = abi.sigevent()(abi.sigval(value), signo, notify, tid)
    timer = c_void_p()
    _timer_create(clockid, event and byref(event), byref(timer))
    return timer.value or 0


def timer_settime(timer: int, new: ItimerSpec, flags: int = 0) -> ItimerSpec:
    """Arm the timer, or disarm it with a value of 0; return the previous setting (timer_settime(2)). OSError."""
    check_integer("timer_settime", timer, SIZE)
    packed, old = new.pack(), abi.itimerspec()
    _timer_settime(timer, flags, byref(packed), byref(old))
    return ItimerSpec.read(old)


def timer_gettime(timer: int) -> ItimerSpec:
    """Return the time until the next expiration, and the interval (timer_gettime(2)). OSError."""
    check_integer("timer_gettime", timer, SIZE)
    now = abi.itimerspec()
    _timer_gettime(timer, byref(now))
    return ItimerSpec.read(now)


def timer_getoverrun(timer: int) -> int:
    """Return the number of expirations between the sending and the delivery of the last signal (timer_getoverrun(2)).

    OSError.
    """
    check_integer("timer_getoverrun", timer, SIZE)
    result: int = _timer_getoverrun(timer)
    return result


def timer_delete(timer: int) -> None:
    """Disarm and delete the timer (timer_delete(2)). OSError."""
    check_integer("timer_delete", timer, SIZE)
    _timer_delete(timer)


def setitimer(which: int, new: ItimerVal) -> ItimerVal:
    """Arm an interval timer, or disarm it with a value of 0; return the previous setting (setitimer(2)). OSError."""
    packed, old = new.pack(), abi.itimerval()
    _setitimer(which, byref(packed), byref(old))
    return ItimerVal.read(old)


def getitimer(which: int) -> ItimerVal:
    """Return the time until the next expiration, and the interval (getitimer(2)). OSError."""
    now = abi.itimerval()
    _getitimer(which, byref(now))
    return ItimerVal.read(now)


def alarm(seconds: int) -> int:
    """Send SIGALRM after *seconds*, or cancel it with 0 (alarm(2)).

    Returns the seconds that remained of the previous alarm, rounded up. Never fails.
    """
    result: int = _alarm(seconds)
    return result
