"""Event counters: eventfd(2).

The stdlib's os.eventfd_read and os.eventfd_write retry after EINTR; these functions do not.
"""

from __future__ import annotations

import sys
from ctypes import c_int, c_uint

from ..unpatched import os
from .descriptor import read, write
from .libc import check_integer, function

__all__ = ["EFD_CLOEXEC", "EFD_NONBLOCK", "EFD_SEMAPHORE", "EVENTFD_MAX", "eventfd", "eventfd_read", "eventfd_write"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

EFD_SEMAPHORE = 1
EFD_CLOEXEC = os.O_CLOEXEC
EFD_NONBLOCK = os.O_NONBLOCK
EVENTFD_MAX = (1 << 64) - 2  # the largest value of the counter

_UINT64 = (0, (1 << 64) - 1)

_eventfd = function("eventfd", c_int, c_uint, c_int)


def eventfd(initval: int = 0, flags: int = 0) -> int:
    """Create an event counter with value *initval* and return its descriptor (eventfd(2)). OSError."""
    result: int = _eventfd(initval, flags)
    return result


def eventfd_read(fd: int) -> int:
    """Read the counter and set it to 0; a semaphore gives 1 and is decremented (eventfd(2)).

    OSError, EINTR included.
    """
    return int.from_bytes(read(fd, 8), sys.byteorder)


def eventfd_write(fd: int, value: int) -> None:
    """Add *value* to the counter (eventfd(2)). OSError: EAGAIN if it would overflow, EINVAL for 2**64-1, EINTR."""
    check_integer("eventfd_write", value, _UINT64)
    write(fd, value.to_bytes(8, sys.byteorder))
