"""File locks: flock(2), the record locks and open file description locks of fcntl(2), lockf(3).

F_SETLKW, F_OFD_SETLKW, F_LOCK and flock() without LOCK_NB wait, and fail with EINTR. On 32-bit machines the calls are
those with 64-bit offsets, so that a range means the same everywhere.
"""

from __future__ import annotations

from ctypes import Structure, addressof, c_int, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

from ..unpatched import os
from . import abi
from .libc import INT, SIZE, check_integer, function, with_large_offsets

__all__ = [
    "F_GETLK",
    "F_LOCK",
    "F_OFD_GETLK",
    "F_OFD_SETLK",
    "F_OFD_SETLKW",
    "F_RDLCK",
    "F_SETLK",
    "F_SETLKW",
    "F_TEST",
    "F_TLOCK",
    "F_ULOCK",
    "F_UNLCK",
    "F_WRLCK",
    "LOCK_EX",
    "LOCK_NB",
    "LOCK_SH",
    "LOCK_UN",
    "RecordLock",
    "fcntl_flock",
    "fcntl_getlk",
    "fcntl_setlk",
    "flock",
    "lockf",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

LOCK_SH = 1
LOCK_EX = 2
LOCK_NB = 4
LOCK_UN = 8

F_RDLCK = 0
F_WRLCK = 1
F_UNLCK = 2

F_GETLK = 5
F_SETLK = 6
F_SETLKW = 7
F_OFD_GETLK = 36
F_OFD_SETLK = 37
F_OFD_SETLKW = 38

F_ULOCK = 0
F_LOCK = 1
F_TLOCK = 2
F_TEST = 3

_SHORT = (-(1 << 15), (1 << 15) - 1)
_OFF = (-(1 << 63), (1 << 63) - 1)

# The kernel's commands with 64-bit offsets on a 32-bit machine.
_WIDE_COMMANDS = {} if abi.WIDE else {F_GETLK: 12, F_SETLK: 13, F_SETLKW: 14}


_flock = function("flock", c_int, c_int, c_int)
_fcntl = function(with_large_offsets("fcntl"), c_int, c_int, c_int, c_void_p)
_lockf = function(with_large_offsets("lockf"), c_int, c_int, c_int, c_int64)


@dataclass(frozen=True, slots=True)
class RecordLock:
    """struct flock (fcntl(2)): type F_RDLCK, F_WRLCK or F_UNLCK; offsets in bytes; *len* 0 is to the end.

    *pid* is set by F_GETLK and F_OFD_GETLK: the holder, or -1 for the lock of an open file description.
    """

    type: int
    start: int = 0
    len: int = 0
    whence: int = os.SEEK_SET
    pid: int = 0


def flock(fd: int, operation: int) -> None:
    """Lock or unlock the file: LOCK_SH, LOCK_EX or LOCK_UN, without waiting with LOCK_NB (flock(2)).

    OSError: EWOULDBLOCK, EINTR.
    """
    _flock(fd, operation)


def fcntl_flock(fd: int, cmd: int, address: int | None) -> None:
    """Call fcntl(2) with the address of a struct flock with 64-bit offsets. OSError: EFAULT.

    The typed functions below serve every other use.
    """
    check_integer("fcntl", cmd, INT)
    if address is not None:
        check_integer("fcntl", address, SIZE)
    _fcntl(fd, _WIDE_COMMANDS.get(cmd, cmd), address)


def fcntl_setlk(fd: int, cmd: int, lock: RecordLock) -> None:
    """Set, change or release the lock of a range of bytes (fcntl(2), F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW).

    OSError: EAGAIN or EACCES if the range is locked, EDEADLK, EINTR, ENOLCK.
    """
    wanted = _structure(lock)  # keeps the structure alive until the call
    fcntl_flock(fd, cmd, addressof(wanted))


def fcntl_getlk(fd: int, cmd: int, lock: RecordLock) -> RecordLock:
    """Return a lock that conflicts with *lock*, or *lock* with type F_UNLCK (fcntl(2), F_GETLK, F_OFD_GETLK).

    OSError.
    """
    answer: Any = _structure(lock)
    fcntl_flock(fd, cmd, addressof(answer))
    return RecordLock(answer.type, answer.start, answer.len, answer.whence, answer.pid)


def lockf(fd: int, cmd: int, length: int = 0) -> None:
    """Lock, unlock or test *length* bytes from the file's position, backwards if negative (lockf(3)). OSError.

    *cmd* is F_LOCK, F_TLOCK, F_ULOCK or F_TEST.
    """
    check_integer("lockf", length, _OFF)
    _lockf(fd, cmd, length)


def _structure(lock: RecordLock) -> Structure:
    for value, bounds in (
        (lock.type, _SHORT),
        (lock.whence, _SHORT),
        (lock.start, _OFF),
        (lock.len, _OFF),
        (lock.pid, INT),
    ):
        check_integer("fcntl", value, bounds)
    made: Any = abi.flock64()()
    made.type, made.whence, made.start, made.len, made.pid = lock.type, lock.whence, lock.start, lock.len, lock.pid
    result: Structure = made
    return result
