"""Leases and the signals of descriptors: F_SETLEASE, F_NOTIFY, F_SETOWN_EX, F_SETSIG of fcntl(2).

Commands with a plain integer use `fcntl()`: fcntl(fd, F_SETLEASE, F_WRLCK), fcntl(fd, F_GETLEASE).
"""

from __future__ import annotations

from ctypes import addressof, c_int
from typing import Any

from . import abi
from .descriptor import fcntl
from .libc import INT, UINT, check_integer
from .locks import fcntl_flock

__all__ = [
    "DN_ACCESS",
    "DN_ATTRIB",
    "DN_CREATE",
    "DN_DELETE",
    "DN_MODIFY",
    "DN_MULTISHOT",
    "DN_RENAME",
    "F_GETLEASE",
    "F_GETOWN",
    "F_GETOWN_EX",
    "F_GETSIG",
    "F_NOTIFY",
    "F_OWNER_PGRP",
    "F_OWNER_PID",
    "F_OWNER_TID",
    "F_SETLEASE",
    "F_SETOWN",
    "F_SETOWN_EX",
    "F_SETSIG",
    "fcntl_getown_ex",
    "fcntl_notify",
    "fcntl_setown_ex",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

F_SETOWN = 8
F_GETOWN = 9
F_SETSIG = 10
F_GETSIG = 11
F_SETOWN_EX = 15
F_GETOWN_EX = 16
F_OWNER_TID = 0
F_OWNER_PID = 1
F_OWNER_PGRP = 2

F_SETLEASE = 1024
F_GETLEASE = 1025
F_NOTIFY = 1026

DN_ACCESS = 0x1
DN_MODIFY = 0x2
DN_CREATE = 0x4
DN_DELETE = 0x8
DN_RENAME = 0x10
DN_ATTRIB = 0x20
DN_MULTISHOT = 0x8000_0000


def fcntl_notify(fd: int, events: int) -> None:
    """Request a signal for the DN_* *events* in the directory *fd*; 0 cancels it (fcntl(2), F_NOTIFY). OSError."""
    check_integer("fcntl", events, UINT)
    fcntl(fd, F_NOTIFY, c_int(events).value)  # DN_MULTISHOT is the sign bit of the int


def fcntl_setown_ex(fd: int, type: int, pid: int) -> None:
    """Send the descriptor's signals to the thread, process or group *pid* (fcntl(2), F_SETOWN_EX). OSError: ESRCH.

    *type* is F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP.
    """
    for value in (type, pid):
        check_integer("fcntl", value, INT)
    owner = abi.f_owner_ex(type, pid)
    fcntl_flock(fd, F_SETOWN_EX, addressof(owner))


def fcntl_getown_ex(fd: int) -> tuple[int, int]:
    """Return type and number of the receiver of the descriptor's signals (fcntl(2), F_GETOWN_EX). OSError."""
    owner: Any = abi.f_owner_ex()
    fcntl_flock(fd, F_GETOWN_EX, addressof(owner))
    return owner.type, owner.pid
