"""Resource limits of a process: getrlimit(2), setrlimit(2), prlimit(2).

Every failure is an OSError with its errno; the stdlib's resource module turns some into a ValueError.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_uint, c_void_p

from .libc import check_integer, function, with_large_offsets

__all__ = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_FSIZE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_SIGPENDING",
    "RLIM_INFINITY",
    "getrlimit",
    "prlimit",
    "setrlimit",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# The same on every machine of the tables; MIPS, SPARC and Alpha have others.
RLIMIT_FSIZE = 1
RLIMIT_CORE = 4
RLIMIT_NPROC = 6
RLIMIT_NOFILE = 7
RLIMIT_MEMLOCK = 8
RLIMIT_AS = 9
RLIMIT_SIGPENDING = 11
RLIMIT_MSGQUEUE = 12
RLIM_INFINITY = (1 << 64) - 1

_RLIM = (0, RLIM_INFINITY)


class _Rlimit(ctypes.Structure):
    _fields_ = (("cur", ctypes.c_uint64), ("max", ctypes.c_uint64))


_getrlimit = function(with_large_offsets("getrlimit"), c_int, c_int, c_void_p)
_setrlimit = function(with_large_offsets("setrlimit"), c_int, c_int, c_void_p)
_prlimit = function(with_large_offsets("prlimit"), c_int, c_int, c_uint, c_void_p, c_void_p)


def getrlimit(resource: int) -> tuple[int, int]:
    """Return the soft and the hard limit of this process (getrlimit(2)). OSError."""
    found = _Rlimit()
    _getrlimit(resource, ctypes.addressof(found))
    return found.cur, found.max


def setrlimit(resource: int, soft: int, hard: int) -> None:
    """Set the soft and the hard limit of this process (setrlimit(2)). OSError."""
    wanted = _limits("setrlimit", soft, hard)
    _setrlimit(resource, ctypes.addressof(wanted))


def prlimit(pid: int, resource: int, new: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the soft and the hard limit of a process, 0 for this one; set *new* ones if given (prlimit(2)).

    OSError.
    """
    found = _Rlimit()
    wanted = None if new is None else _limits("prlimit", *new)
    _prlimit(pid, resource, None if wanted is None else ctypes.addressof(wanted), ctypes.addressof(found))
    return found.cur, found.max


def _limits(name: str, soft: int, hard: int) -> _Rlimit:
    for value in (soft, hard):
        check_integer(name, value, _RLIM)
    return _Rlimit(soft, hard)
