"""The usage of System V objects and the alternate stack, asked for before and after each test by the leak check.

These calls fill the same structure each time, and are not in the record of calls, which is evidence for a deviation.
"""

from __future__ import annotations

import ctypes
from _socket import AF_UNIX, SO_DOMAIN, SOL_SOCKET  # without the module of Python, which few runs need
from collections.abc import Callable
from ctypes import byref, c_int, c_void_p, create_string_buffer, sizeof
from errno import EACCES, EBADF, ENOTSOCK
from typing import Any

from ..unpatched import os
from . import abi
from .ipc import IPC_STAT
from .libc import raw_symbol
from .msg import MSG_INFO
from .sem import SEM_INFO
from .shm import SHM_INFO

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_DS_SIZE = 512  # more than any structure of IPC_STAT


def usage_query(name: str) -> Callable[[], tuple[int, ...]]:
    """Return a function that returns number, size and highest index of the objects of shmctl, semctl or msgctl."""
    if name == "shmctl":
        return _query(name, (SHM_INFO,), abi.shm_info(), "used_ids", "shm_tot")
    if name == "semctl":
        return _query(name, (0, SEM_INFO), abi.seminfo(), "semusz", "semaem")
    return _query(name, (MSG_INFO,), abi.msginfo(), "msgpool")


def _query(name: str, command: tuple[int, ...], info: Any, *members: str) -> Callable[[], tuple[int, ...]]:
    call, arguments = _raw(name), (0, *command, byref(info))

    def ask() -> tuple[int, ...]:
        highest = call(*arguments)
        if highest == -1:
            raise _error(name)
        return (highest, *[getattr(info, member) for member in members])

    return ask


def existence_query(name: str) -> Callable[[int], bool]:
    """Return a function that returns whether the object with an id exists, by shmctl, semctl or msgctl (IPC_STAT)."""
    call, command = _raw(name), (0, IPC_STAT) if name == "semctl" else (IPC_STAT,)
    buffer = create_string_buffer(_DS_SIZE)

    def exists(id: int) -> bool:
        return call(id, *command, buffer) != -1 or ctypes.get_errno() == EACCES

    return exists


def stack_query() -> Callable[[], bytes]:
    """Return a function that returns the stack_t of the calling thread (sigaltstack(2)), which can be compared."""
    call, stack = _raw("sigaltstack"), abi.stack_t()()
    address = byref(stack)

    def ask() -> bytes:
        if call(None, address) == -1:
            raise _error("sigaltstack")
        return bytes(stack)

    return ask


def may_be_unix_socket(fd: int) -> bool:
    """Return whether a descriptor is open and a UNIX socket, or cannot be asked; no file system is asked."""
    _length.value = sizeof(c_int)
    if _getsockopt(fd, SOL_SOCKET, SO_DOMAIN, _value_at, _length_at) == 0:
        return _value.value == AF_UNIX
    return ctypes.get_errno() not in (ENOTSOCK, EBADF)


def _raw(name: str) -> Any:
    found = raw_symbol(name)
    found.argtypes = {
        "semctl": (c_int, c_int, c_int, c_void_p),
        "sigaltstack": (c_void_p, c_void_p),
        "getsockopt": (c_int, c_int, c_int, c_void_p, c_void_p),
    }.get(name, (c_int, c_int, c_void_p))
    return found


def _error(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")


_getsockopt = _raw("getsockopt")
_value, _length = c_int(), c_int()
_value_at, _length_at = byref(_value), byref(_length)
