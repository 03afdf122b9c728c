"""Wait for descriptors and for time, without the retries of the stdlib: poll(2), select(2), nanosleep(2).

The stdlib's select module and time.sleep resume after a signal handler (PEP 475) and hide EINTR.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ctypes import Array, Structure, addressof, byref, c_int, c_long, c_short, c_ulong, c_void_p, sizeof

from . import abi
from .libc import function
from .signals import sigset
from .times import Timespec

__all__ = ["FD_SETSIZE", "nanosleep", "poll", "ppoll", "raw_poll", "select"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

FD_SETSIZE = 1024

_poll = function("poll", c_int, c_void_p, c_ulong, c_int)
_select = function("select", c_int, c_int, c_void_p, c_void_p, c_void_p, c_void_p)
_ppoll = function("ppoll", c_int, c_void_p, c_ulong, c_void_p, c_void_p)
_nanosleep = function("nanosleep", c_int, c_void_p, c_void_p)


class _PollFd(Structure):
    _fields_ = [("fd", c_int), ("events", c_short), ("revents", c_short)]


def poll(events: Mapping[int, int], milliseconds: int) -> dict[int, int]:
    """Return the events of each descriptor among *events* that occurred (poll(2)). OSError, EINTR included.

    *milliseconds* limits the wait; a negative number waits for ever.
    """
    array = _array(events)
    _poll(byref(array), len(events), milliseconds)
    return {entry.fd: entry.revents for entry in array if entry.revents}


def ppoll(events: Mapping[int, int], timeout: Timespec | None, mask: Iterable[int] | None) -> dict[int, int]:
    """Return the events that occurred, with *mask* as the signal mask during the wait (ppoll(2)). OSError.

    A *timeout* of None waits for ever; a *mask* of None keeps the mask.
    """
    array, set_of = _array(events), None if mask is None else sigset(mask)
    time = None if timeout is None else timeout.pack()
    _ppoll(byref(array), len(events), time and byref(time), set_of)
    return {entry.fd: entry.revents for entry in array if entry.revents}


def _array(events: Mapping[int, int]) -> Array[_PollFd]:
    return (_PollFd * len(events))(*(_PollFd(fd, wanted) for fd, wanted in events.items()))


def raw_poll(events: Sequence[tuple[int, int]], milliseconds: int) -> tuple[int, list[int]]:
    """Return the result of poll(2) and revents of each entry of *events* in order. OSError, EINTR included.

    *milliseconds* limits the wait; a negative number waits for ever.
    """
    array = (_PollFd * len(events))(*(_PollFd(fd, wanted) for fd, wanted in events))
    result: int = _poll(byref(array), len(events), milliseconds)
    return result, [entry.revents for entry in array]


def select(readers: set[int], milliseconds: int) -> set[int]:
    """Return the descriptors among *readers* that are readable (select(2)). OSError, EINTR included.

    *milliseconds* limits the wait; a negative number waits for ever.
    """
    bits = 8 * sizeof(c_long)
    words = (c_long * (FD_SETSIZE // bits))()
    for fd in readers:
        if not 0 <= fd < FD_SETSIZE:
            raise ValueError(f"select: fd must be from 0 to {FD_SETSIZE - 1}, not {fd}; poll() has no limit")
        words[fd // bits] |= c_long(1 << fd % bits).value
    time = abi.timeval(*divmod(milliseconds, 1000)) if milliseconds >= 0 else None
    if time is not None:
        time.tv_usec *= 1000
    _select(FD_SETSIZE, byref(words), None, None, time and addressof(time))
    return {fd for fd in readers if words[fd // bits] >> fd % bits & 1}


def nanosleep(time: Timespec) -> None:
    """Sleep for *time* (nanosleep(2)). OSError, EINTR included."""
    packed = time.pack()
    _nanosleep(byref(packed), None)
