"""Timers read from a descriptor: timerfd_create(2)."""

from __future__ import annotations

import sys
from ctypes import byref, c_int, c_uint64, c_ulong, c_void_p

from ..unpatched import os
from . import abi
from .descriptor import read
from .libc import check_integer, function
from .times import ItimerSpec

__all__ = [
    "TFD_CLOEXEC",
    "TFD_IOC_SET_TICKS",
    "TFD_NONBLOCK",
    "TFD_TIMER_ABSTIME",
    "TFD_TIMER_CANCEL_ON_SET",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_read",
    "timerfd_set_ticks",
    "timerfd_settime",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

TFD_CLOEXEC = os.O_CLOEXEC
TFD_NONBLOCK = os.O_NONBLOCK
TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2

# _IOW('T', 0, __u64): the two bits for "write" are others on PowerPC.
TFD_IOC_SET_TICKS = 0x8008_5400 if abi.machine() == "ppc64le" else 0x4008_5400

_UINT64 = (0, (1 << 64) - 1)

_timerfd_create = function("timerfd_create", c_int, c_int, c_int)
_timerfd_settime = function("timerfd_settime", c_int, c_int, c_int, c_void_p, c_void_p)
_timerfd_gettime = function("timerfd_gettime", c_int, c_int, c_void_p)
_ioctl = function("ioctl", c_int, c_int, c_ulong, c_void_p)


def timerfd_create(clockid: int, flags: int = 0) -> int:
    """Create a disarmed timer and return its descriptor (timerfd_create(2)). OSError."""
    result: int = _timerfd_create(clockid, flags)
    return result


def timerfd_settime(fd: int, new: ItimerSpec, flags: int = 0) -> ItimerSpec:
    """Arm the timer, or disarm it with a value of 0; return the previous setting (timerfd_settime(2)). OSError."""
    packed, old = new.pack(), abi.itimerspec()
    _timerfd_settime(fd, flags, byref(packed), byref(old))
    return ItimerSpec.read(old)


def timerfd_gettime(fd: int) -> ItimerSpec:
    """Return the time until the next expiration, and the interval (timerfd_gettime(2)). OSError."""
    now = abi.itimerspec()
    _timerfd_gettime(fd, byref(now))
    return ItimerSpec.read(now)


def timerfd_read(fd: int) -> int:
    """Return the number of expirations since the last read or setting, waiting for the first (timerfd_create(2)).

    OSError, EINTR included.
    """
    return int.from_bytes(read(fd, 8), sys.byteorder)


def timerfd_set_ticks(fd: int, ticks: int) -> None:
    """Set the number of expirations (ioctl(2), TFD_IOC_SET_TICKS). OSError: ENOTTY if the kernel lacks it."""
    check_integer("ioctl", ticks, _UINT64)
    _ioctl(fd, TFD_IOC_SET_TICKS, byref(c_uint64(ticks)))
