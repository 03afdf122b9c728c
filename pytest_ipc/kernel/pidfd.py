"""Process descriptors: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

The stdlib has waitid(2) with P_PIDFD (os.waitid) and poll(2) (select). libc has wrappers for these three calls only
since glibc 2.36, so they are called by number; from 424 on the numbers are the same on every architecture.
"""

from __future__ import annotations

from ctypes import addressof, c_byte, c_int

from ..unpatched import os
from . import abi
from .libc import INT, UINT, check_integer, syscall

__all__ = [
    "PIDFD_NONBLOCK",
    "PIDFD_SIGNAL_PROCESS_GROUP",
    "PIDFD_SIGNAL_THREAD",
    "PIDFD_SIGNAL_THREAD_GROUP",
    "PIDFD_THREAD",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

PIDFD_NONBLOCK = os.O_NONBLOCK  # since Linux 5.10
PIDFD_THREAD = os.O_EXCL  # since Linux 6.9, as are the three below

PIDFD_SIGNAL_THREAD = 1
PIDFD_SIGNAL_THREAD_GROUP = 2
PIDFD_SIGNAL_PROCESS_GROUP = 4

_PIDFD_SEND_SIGNAL = 424
_PIDFD_OPEN = 434
_PIDFD_GETFD = 438


def pidfd_open(pid: int, flags: int = 0) -> int:
    """Return a descriptor for a process; it becomes readable when the process ends (pidfd_open(2)). OSError."""
    check_integer("pidfd_open", pid, INT)  # the kernel would use only the low half of the long that syscall(2) passes
    check_integer("pidfd_open", flags, UINT)
    return syscall(_PIDFD_OPEN, pid, flags)


def pidfd_send_signal(pidfd: int, signo: int, flags: int = 0, *, info: tuple[int, int] | None = None) -> None:
    """Send a signal to the process of *pidfd*, never to one that reuses its pid (pidfd_send_signal(2)). OSError.

    *info* is si_signo and si_code of a siginfo_t to send; without it the signal is that of kill(2).
    """
    check_integer("pidfd_send_signal", pidfd, INT)
    check_integer("pidfd_send_signal", signo, INT)
    check_integer("pidfd_send_signal", flags, UINT)
    raw = (c_byte * abi.SIGINFO_BYTES)()
    if info is not None:
        for offset, value in zip((0, 8), info, strict=True):
            check_integer("pidfd_send_signal", value, INT)
            c_int.from_buffer(raw, offset).value = value
    syscall(_PIDFD_SEND_SIGNAL, pidfd, signo, 0 if info is None else addressof(raw), flags)


def pidfd_getfd(pidfd: int, targetfd: int, flags: int = 0) -> int:
    """Duplicate descriptor *targetfd* of another process, close-on-exec (pidfd_getfd(2)).

    OSError: EPERM as for ptrace(2).
    """
    for fd in (pidfd, targetfd):
        check_integer("pidfd_getfd", fd, INT)
    check_integer("pidfd_getfd", flags, UINT)
    return syscall(_PIDFD_GETFD, pidfd, targetfd, flags)
