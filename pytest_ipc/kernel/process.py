"""Attributes of the calling process: prctl(2)."""

from __future__ import annotations

from ctypes import c_int, c_ulong

from .libc import function

__all__ = [
    "PR_GET_PDEATHSIG",
    "PR_SET_CHILD_SUBREAPER",
    "PR_SET_DUMPABLE",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "PR_SET_SECCOMP",
    "SECCOMP_MODE_STRICT",
    "prctl",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_STRICT = 1


_prctl = function("prctl", c_int, c_int, c_ulong, c_ulong, c_ulong, c_ulong)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """Operate on the calling thread or process (prctl(2)). OSError."""
    result: int = _prctl(option, arg2, arg3, arg4, arg5)
    return result
