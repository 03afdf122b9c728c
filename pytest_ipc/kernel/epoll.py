"""Waiting for many descriptors: epoll_create(2), epoll_ctl(2), epoll_wait(2).

The bits of an event are select.EPOLLIN and its kin of the stdlib, whose select.epoll waits on when a handler has run (PEP 475).
"""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import Structure, addressof, byref, c_int, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

from . import abi
from .libc import function
from .signals import sigset
from .times import Timespec

__all__ = [
    "EPOLL_CTL_ADD",
    "EPOLL_CTL_DEL",
    "EPOLL_CTL_MOD",
    "EpollEvent",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
]

EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3

_create = function("epoll_create", c_int, c_int)
_create1 = function("epoll_create1", c_int, c_int)
_ctl = function("epoll_ctl", c_int, c_int, c_int, c_int, c_void_p)
_wait = function("epoll_wait", c_int, c_int, c_void_p, c_int, c_int)
_pwait = function("epoll_pwait", c_int, c_int, c_void_p, c_int, c_int, c_void_p)
_pwait2 = function("epoll_pwait2", c_int, c_int, c_void_p, c_int, c_void_p, c_void_p)


class EpollEvent(NamedTuple):
    """struct epoll_event (epoll_event(3type)): the bits, and the data that belong to the descriptor."""

    events: int
    data: int


class _Event(Structure):
    # On x86 it is the same for 32-bit and 64-bit programs, without room between the members.
    if abi.machine() in ("x86_64", "i386"):
        _pack_ = 1
        _layout_ = "ms"  # what a packed structure has been all along; from Python 3.14 on it wants to be said
    _fields_ = [("events", c_uint32), ("data", c_uint64)]


def epoll_create(size: int) -> int:
    """epoll_create(2): the descriptor of a new epoll instance. OSError (EINVAL for a size that is not positive)."""
    result: int = _create(size)
    return result


def epoll_create1(flags: int = 0) -> int:
    """epoll_create1(2): the descriptor of a new epoll instance, with EPOLL_CLOEXEC as a flag. OSError."""
    result: int = _create1(flags)
    return result


def epoll_ctl(epfd: int, op: int, fd: int, events: int | None = None, data: int | None = None) -> None:
    """epoll_ctl(2): change the interest in *fd*; *data* are the descriptor's number unless given. OSError.

    Without *events* the event argument is NULL.
    """
    event = None if events is None else _Event(events, fd & 0xFFFF_FFFF if data is None else data)
    _ctl(epfd, op, fd, event and addressof(event))


def epoll_wait(epfd: int, most: int, milliseconds: int) -> list[EpollEvent]:
    """epoll_wait(2): up to *most* events, waiting so long, for ever at -1. OSError, EINTR included."""
    room = _room(most)
    return _events(room, _wait(epfd, room, most, milliseconds))


def epoll_pwait(epfd: int, most: int, milliseconds: int, mask: Iterable[int] | None) -> list[EpollEvent]:
    """epoll_pwait(2): the same, under another signal mask if one is given. OSError, EINTR included."""
    room, set_of = _room(most), None if mask is None else sigset(mask)
    return _events(room, _pwait(epfd, room, most, milliseconds, set_of))


def epoll_pwait2(epfd: int, most: int, timeout: Timespec | None, mask: Iterable[int] | None) -> list[EpollEvent]:
    """epoll_pwait2(2): the same with a time in nanoseconds, for ever if there is none. OSError, EINTR included."""
    room, set_of = _room(most), None if mask is None else sigset(mask)
    time = None if timeout is None else timeout.pack()
    return _events(room, _pwait2(epfd, room, most, time and byref(time), set_of))


def _room(most: int) -> Any:
    return (_Event * max(most, 1))()


def _events(room: Any, count: int) -> list[EpollEvent]:
    return [EpollEvent(event.events, event.data) for event in room[:count]]
