"""Processes: prctl(2), pidfd_open(2), pidfd_send_signal(2)."""

from __future__ import annotations

from ctypes import c_int, c_ulong

from .libc import INT, UINT, check_integer, function, syscall

__all__ = [
    "PR_GET_PDEATHSIG",
    "PR_SET_CHILD_SUBREAPER",
    "PR_SET_DUMPABLE",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "PR_SET_SECCOMP",
    "SECCOMP_MODE_STRICT",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
]

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_STRICT = 1

# Numbers from 424 on are the same on every architecture that this project knows; libc has had wrappers only since glibc 2.36.
_PIDFD_SEND_SIGNAL = 424
_PIDFD_OPEN = 434

_prctl = function("prctl", c_int, c_int, c_ulong, c_ulong, c_ulong, c_ulong)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2): operate on the calling thread or process. OSError."""
    result: int = _prctl(option, arg2, arg3, arg4, arg5)
    return result


def pidfd_open(pid: int, flags: int = 0) -> int:
    """pidfd_open(2): a descriptor that stands for the process and reads as ready when it has ended. OSError."""
    check_integer("pidfd_open", pid, INT)  # the kernel would take the low half of the long that syscall(2) passes
    check_integer("pidfd_open", flags, UINT)
    return syscall(_PIDFD_OPEN, pid, flags)


def pidfd_send_signal(pidfd: int, signo: int, flags: int = 0) -> None:
    """pidfd_send_signal(2): signal the process behind *pidfd* and no other, also after its pid was given away. OSError."""
    check_integer("pidfd_send_signal", pidfd, INT)
    check_integer("pidfd_send_signal", signo, INT)
    check_integer("pidfd_send_signal", flags, UINT)
    syscall(_PIDFD_SEND_SIGNAL, pidfd, signo, 0, flags)
