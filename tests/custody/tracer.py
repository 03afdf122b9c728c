"""A tracer that kills a process at the entry of its n-th system call (ptrace(2)).

It only counts: no registers are read, so that it is the same on every machine. What the process forks is not followed.
A process that is killed where it enters a call has done all before that call and nothing of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
from ctypes import c_int, c_long, c_void_p
from dataclasses import dataclass

TRACEME, SYSCALL, SETOPTIONS = 0, 24, 0x4200
TRACESYSGOOD, EXITKILL = 1, 0x10_0000

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes, _ptrace.restype = (c_long, c_int, c_void_p, c_void_p), c_long


def ptrace(request: int, pid: int = 0, data: int = 0) -> None:
    """ptrace(2), with no address. OSError."""
    if _ptrace(request, pid, None, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")


def begin() -> None:
    """In the process that is to be traced: from here on its calls are counted. OSError where that is refused."""
    ptrace(TRACEME)
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass
class Traced:
    """The result of a traced process: number of calls entered, the last call, and the status as in subprocess."""

    calls: int
    last: int | None
    status: int


def follow(pid: int, kill_at: int | None = None) -> Traced:
    """Trace a child that has called begin() until it ends or enters call number *kill_at*, counted from 1."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSTOPPED(status):
        ptrace(SETOPTIONS, pid, TRACESYSGOOD | EXITKILL)
    calls, entering, last = 0, True, None
    while os.WIFSTOPPED(status):
        signo = os.WSTOPSIG(status)
        passed_on = 0
        if signo == signal.SIGTRAP | 0x80:
            if entering:
                calls += 1
            entering = not entering
            if calls == kill_at:
                last = _call(pid)
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                break
        elif signo != signal.SIGSTOP:
            passed_on = signo
        ptrace(SYSCALL, pid, passed_on)
        _, status = os.waitpid(pid, 0)
    return Traced(calls, last, os.waitstatus_to_exitcode(status))


def _call(pid: int) -> int | None:
    """Return the number of the call that a stopped process is about to make, where the kernel shows it."""
    try:
        with open(f"/proc/{pid}/syscall") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError):
        return None
