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

SFD_CLOEXEC = os.O_CLOEXEC
SFD_NONBLOCK = os.O_NONBLOCK

# struct signalfd_siginfo is made of numbers of a fixed size in an order that no ABI has to pad: it is the same everywhere.
_LAYOUT = struct.Struct("=IiiIIiIIIIiiQQQQHHiQI28x")
SIGNALFD_SIGINFO_BYTES = _LAYOUT.size

_signalfd = function("signalfd", c_int, c_int, c_void_p, c_int)


@dataclass(frozen=True, slots=True)
class SignalfdSiginfo:
    """struct signalfd_siginfo (signalfd(2)), the names less their `ssi_`; members that the signal's origin does not set are 0.

    `value` is ssi_int, the integer that sigqueue(3) or a timer sent; `tid` is the id of the timer, not of a thread.
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
    """signalfd(2): a descriptor to read the signals in *mask* from; *fd* is -1, or an existing one to give the mask to. OSError.

    The signals must be blocked, or they are handled before anybody can read them.
    """
    result: int = _signalfd(fd, byref(sigset(mask)), flags)
    return result


def signalfd_read(fd: int, most: int = 1) -> list[SignalfdSiginfo]:
    """read(2) of a signalfd: up to *most* of the signals that pend, waiting for the first. OSError, EINTR included."""
    data = read(fd, most * SIGNALFD_SIGINFO_BYTES)
    whole = (
        len(data) // SIGNALFD_SIGINFO_BYTES * SIGNALFD_SIGINFO_BYTES
    )  # there is nothing else, on a kernel that is right
    return [SignalfdSiginfo(*fields[:16]) for fields in _LAYOUT.iter_unpack(data[:whole])]
