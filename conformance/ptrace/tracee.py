"""Tracees and the reports of their stops: children that stop before they run, and the statuses of waitpid(2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from errno import EIO
from fcntl import ioctl
from signal import SIGSTOP, SIGTRAP
from termios import FIONREAD
from typing import Any

import pytest

from pytest_ipc import Need, untested
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_EVENT_STOP,
    PTRACE_INTERRUPT,
    PTRACE_O_TRACESYSGOOD,
    PTRACE_SEIZE,
    PTRACE_SETOPTIONS,
    PTRACE_SYSCALL,
    PTRACE_SYSCALL_INFO_ENTRY,
    PTRACE_TRACEME,
    SyscallInfo,
    kill,
    pause,
    process_state,
    ptrace,
    ptrace_syscall_info,
)

from ..signal.plain_child import bare_child, comes_true

WALL = 0x4000_0000  # __WALL of waitpid(2), not in the stdlib: waits for threads, too


@dataclass(frozen=True)
class Stopped:
    """A ptrace-stop: the signal of WSTOPSIG, and the event in the byte above."""

    signal: int
    event: int = 0


@dataclass(frozen=True)
class Exited:
    """An exit, with its status."""

    status: int


@dataclass(frozen=True)
class Killed:
    """A death by a signal."""

    signal: int


Report = Stopped | Exited | Killed

# With PTRACE_O_TRACESYSGOOD.
SYSCALL_STOP = Stopped(SIGTRAP | 0x80)


def report_of(status: int) -> Report:
    """Decode a status of waitpid(2)."""
    if os.WIFSTOPPED(status):
        return Stopped(os.WSTOPSIG(status), status >> 16)
    return Killed(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else Exited(os.WEXITSTATUS(status))


def next_of(tid: int) -> Report:
    """Wait for the next report of a thread that this process traces, or of a child."""
    found, status = os.waitpid(tid, WALL)
    assert found == tid
    return report_of(status)


def silent(tid: int) -> bool:
    """Return whether waitpid(2) has nothing to report for the thread."""
    return os.waitpid(tid, WALL | os.WNOHANG) == (0, 0)


def traced(function: Callable[[], int], options: int = 0) -> int:
    """Start a child traced with PTRACE_TRACEME, wait for its first stop and return its pid; it exits with *function*'s
    result."""

    def life() -> int:
        ptrace(PTRACE_TRACEME, 0)
        kill(os.getpid(), SIGSTOP)
        return function()

    pid = bare_child(life)
    assert next_of(pid) == Stopped(SIGSTOP)
    if options:
        ptrace(PTRACE_SETOPTIONS, pid, 0, options)
    return pid


def seized(function: Callable[[], int], options: int = 0) -> int:
    """Start a child, seize it and return its pid; it runs *function* and exits with its result."""
    read_fd, write_fd = os.pipe()
    pid = bare_child(lambda: function() if os.read(read_fd, 1) else 255)
    ptrace(PTRACE_SEIZE, pid, 0, options)
    os.write(write_fd, b"!")
    os.close(read_fd)
    os.close(write_fd)
    return pid


def sleep() -> int:
    """Sleep until a signal terminates this child."""
    pause()
    return 0


def raising(signo: int, status: int = 0) -> Callable[[], int]:
    """Return the function of a child that sends itself a signal and exits with *status*."""

    def life() -> int:
        kill(os.getpid(), signo)
        return status

    return life


def asleep_in_a_traced_call() -> int:
    """Return a seized child that sleeps in pause(2), entered under PTRACE_SYSCALL."""
    pid = seized(sleep)
    assert reaches(pid, "S")
    ptrace(PTRACE_INTERRUPT, pid)
    assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_STOP)
    ptrace(PTRACE_SYSCALL, pid)
    assert next_of(pid) == Stopped(SIGTRAP)  # pause(2) is entered again
    ptrace(PTRACE_SYSCALL, pid)
    assert reaches(pid, "S")
    return pid


def reaches(pid: int, states: str) -> bool:
    """Return whether the process reaches one of these states of /proc/PID/stat before it ends."""
    found = ""

    def settled() -> bool:
        nonlocal found
        state = process_state(pid)
        found = state.state if state is not None else "X"
        return found in states or found in "ZX"

    return comes_true(settled) and found in states


def unread(fd: int) -> int:
    """Return the number of bytes available to read."""
    count = bytearray(4)
    ioctl(fd, FIONREAD, count)
    return int.from_bytes(count, "little") or int.from_bytes(count, "big")


def needs_syscall_info(pid: int) -> None:
    """Report untested if the kernel cannot report the system call that stopped the tracee."""
    try:
        ptrace_syscall_info(pid)
    except OSError as error:
        if error.errno != EIO:
            raise
        untested(Need.NEWER_KERNEL, f"needs Linux 5.3, for PTRACE_GET_SYSCALL_INFO: {error.strerror}")


def to_entry(pid: int, number: int) -> SyscallInfo:
    """Restart the tracee until it enters system call *number*."""
    needs_syscall_info(pid)
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD)
    while True:
        info = to_syscall_stop(pid)
        if info.op == PTRACE_SYSCALL_INFO_ENTRY and info.nr == number:
            return info


def to_syscall_stop(pid: int) -> SyscallInfo:
    """Restart the tracee until its next syscall-stop."""
    ptrace(PTRACE_SYSCALL, pid)
    assert next_of(pid) == SYSCALL_STOP
    return ptrace_syscall_info(pid)


def reader(pipe: Any) -> int:
    """Start a child that waits for a byte and exits with its value."""
    return bare_child(lambda: pipe.read(1)[0])


Start = Callable[[Callable[[], int], int], int]

ATTACHED = pytest.mark.parametrize("start", [traced, seized], ids=["traceme", "seized"])


def begin(start: Start, function: Callable[[], int], options: int = 0) -> int:
    """Start a tracee and let it run."""
    pid = start(function, options)
    if start is traced:
        ptrace(PTRACE_CONT, pid)
    return pid
