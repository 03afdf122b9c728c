"""Signals read from a descriptor: signalfd(2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ctypes import byref, c_int, c_void_p
from dataclasses import dataclass

from ..unpatched import os
from .descriptor import read
from .libc import function
from .signals import sigset

__all__ = ["SFD_CLOEXEC", "SFD_NONBLOCK", "SIGNALFD_SIGINFO_BYTES", "SignalfdSiginfo", "signalfd", "signalfd_read"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SFD_CLOEXEC = os.O_CLOEXEC
SFD_NONBLOCK = os.O_NONBLOCK

# The members of struct signalfd_siginfo have fixed sizes and need no padding: the layout is the same everywhere.
_LAYOUT = struct.Struct("=IiiIIiIIIIiiQQQQHHiQI28x")
SIGNALFD_SIGINFO_BYTES = _LAYOUT.size

_signalfd = function("signalfd", c_int, c_int, c_void_p, c_int)


@dataclass(frozen=True, slots=True)
class SignalfdSiginfo:
    """struct signalfd_siginfo (signalfd(2)), without the prefix `ssi_`; members that the signal does not set are 0.

    `value` is ssi_int, the integer sent by sigqueue(3) or a timer; `tid` is the id of the timer, not of a thread.
    """

    signo: int
    errno: int
    code: int
    pid: int
    uid: int
    fd: int
    tid: int
    band: int
    overrun: int
    trapno: int
    status: int
    value: int
    ptr: int
    utime: int
    stime: int
    addr: int


def signalfd(fd: int, mask: Iterable[int], flags: int = 0) -> int:
    """Create a descriptor that reads the signals in *mask*, or set the mask of *fd* unless it is -1 (signalfd(2)).

    The signals must be blocked; otherwise they are handled before they can be read. OSError.
    """
    result: int = _signalfd(fd, byref(sigset(mask)), flags)
    return result


def signalfd_read(fd: int, most: int = 1) -> list[SignalfdSiginfo]:
    """Read up to *most* pending signals, waiting for the first (signalfd(2)). OSError, EINTR included."""
    data = read(fd, most * SIGNALFD_SIGINFO_BYTES)
    whole = (
        len(data) // SIGNALFD_SIGINFO_BYTES * SIGNALFD_SIGINFO_BYTES
    )  # a correct kernel returns whole structures only
    return [SignalfdSiginfo(*fields[:16]) for fields in _LAYOUT.iter_unpack(data[:whole])]
