"""Waiting for many descriptors: epoll_create(2), epoll_ctl(2), epoll_wait(2).

The event bits are select.EPOLLIN and the like. The stdlib's select.epoll resumes its wait after a signal handler (PEP
475); these calls fail with EINTR.
"""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import addressof, byref, c_int, c_void_p
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

__tracebackhide__ = True  # pytest ends a traceback at the line that called

EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3

_create = function("epoll_create", c_int, c_int)
_create1 = function("epoll_create1", c_int, c_int)
_ctl = function("epoll_ctl", c_int, c_int, c_int, c_int, c_void_p)
_wait = function("epoll_wait", c_int, c_int, c_void_p, c_int, c_int)
_pwait = function("epoll_pwait", c_int, c_int, c_void_p, c_int, c_int, c_void_p)
_pwait2 = function("epoll_pwait2", c_int, c_int, c_void_p, c_int, c_void_p, c_void_p)


class EpollEvent(NamedTuple):
    """struct epoll_event (epoll_event(3type)): the event bits, and the data registered with the descriptor."""

    events: int
    data: int


def epoll_create(size: int) -> int:
    """Create an epoll instance and return its descriptor (epoll_create(2)).

    OSError: EINVAL unless *size* is positive.
    """
    result: int = _create(size)
    return result


def epoll_create1(flags: int = 0) -> int:
    """Create an epoll instance and return its descriptor; *flags* may be EPOLL_CLOEXEC (epoll_create1(2)). OSError."""
    result: int = _create1(flags)
    return result


def epoll_ctl(epfd: int, op: int, fd: int, events: int | None = None, data: int | None = None) -> None:
    """Add, change or remove the interest in *fd* (epoll_ctl(2)). OSError.

    *data* is the descriptor number unless given. Without *events* the event argument is NULL.
    """
    event = None if events is None else abi.epoll_event(events, fd & 0xFFFF_FFFF if data is None else data)
    _ctl(epfd, op, fd, event and addressof(event))


def epoll_wait(epfd: int, most: int, milliseconds: int) -> list[EpollEvent]:
    """Return up to *most* events (epoll_wait(2)). OSError, EINTR included.

    *milliseconds* limits the wait; -1 waits for ever.
    """
    room = _room(most)
    return _events(room, _wait(epfd, room, most, milliseconds))


def epoll_pwait(epfd: int, most: int, milliseconds: int, mask: Iterable[int] | None) -> list[EpollEvent]:
    """Return up to *most* events, with *mask* as the signal mask during the wait (epoll_pwait(2)).

    *milliseconds* limits the wait; -1 waits for ever. OSError, EINTR included.
    """
    room, set_of = _room(most), None if mask is None else sigset(mask)
    return _events(room, _pwait(epfd, room, most, milliseconds, set_of))


def epoll_pwait2(epfd: int, most: int, timeout: Timespec | None, mask: Iterable[int] | None) -> list[EpollEvent]:
    """Return up to *most* events, with a timeout in nanoseconds or None (epoll_pwait2(2)). OSError, EINTR included."""
    room, set_of = _room(most), None if mask is None else sigset(mask)
    time = None if timeout is None else timeout.pack()
    return _events(room, _pwait2(epfd, room, most, time and byref(time), set_of))


def _room(most: int) -> Any:
    return (abi.epoll_event * max(most, 1))()


def _events(room: Any, count: int) -> list[EpollEvent]:
    return [EpollEvent(event.events, event.data) for event in room[:count]]
