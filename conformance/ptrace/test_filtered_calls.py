"""ptrace(2): stops of calls that a seccomp(2) filter traces."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from signal import SIGTRAP

from pytest_ipc import Need, clause, untested
from pytest_ipc.kernel import (
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECCOMP,
    PTRACE_CONT,
    PTRACE_EVENT_SECCOMP,
    PTRACE_O_TRACESECCOMP,
    PTRACE_SYSCALL,
    PTRACE_SYSCALL_INFO_SECCOMP,
    number_of,
    prctl,
    ptrace,
    ptrace_event_message,
    ptrace_syscall_info,
)
from pytest_ipc.kernel.libc import syscall

from .tracee import Exited, Stopped, next_of, traced

SECTION = "PTRACE_EVENT stops"

# Classic BPF of seccomp(2): notify the tracer of a call with this number, with the data 77; allow all others.
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
TRACE, ALLOW = 0x7FF0_0000, 0x7FFF_0000


def filtered(number: int, function: Callable[[], int]) -> int:
    """Notify the tracer of system call *number*, and call *function*. For a tracee."""
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, TRACE | 77), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    try:
        prctl(PR_SET_SECCOMP, 2, ctypes.addressof(program))
    except OSError:
        return NO_FILTER
    return function()


NO_FILTER = 250


def to_filtered_call(pid: int, op: int = PTRACE_CONT) -> None:
    """Restart the tracee until the filtered system call."""
    ptrace(op, pid)
    while (report := next_of(pid)) != Stopped(SIGTRAP, PTRACE_EVENT_SECCOMP):
        if report == Exited(NO_FILTER):
            untested(Need.SECCOMP, "needs seccomp filters")
        assert isinstance(report, Stopped)
        ptrace(op, pid)


@clause("ptrace.event-seccomp", "ptrace(2)", SECTION, since="3.5")
def test_seccomp_ret_trace_is_an_event(fork):
    """With PTRACE_O_TRACESECCOMP a SECCOMP_RET_TRACE rule stops the tracee; the event message is the data of the
    rule.
    """

    def life() -> None:
        number = number_of("getpid")
        pid = traced(lambda: filtered(number, lambda: syscall(number) == os.getpid()), PTRACE_O_TRACESECCOMP)
        to_filtered_call(pid)
        assert ptrace_event_message(pid) == 77

    fork(life).result()


@clause("ptrace.seccomp-then-allowed", "ptrace(2)", "PTRACE_EVENT_SECCOMP stops (since Linux 4.8)", since="4.8")
def test_call_is_executed_after_seccomp_stop(fork):
    """After a PTRACE_EVENT_SECCOMP stop without changes the system call is executed."""

    def life() -> None:
        number = number_of("getpid")
        pid = traced(lambda: filtered(number, lambda: int(syscall(number) > 0)), PTRACE_O_TRACESECCOMP)
        to_filtered_call(pid)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(1)

    fork(life).result()


@clause("ptrace.seccomp-then-exit-stop", "ptrace(2)", "PTRACE_EVENT_SECCOMP stops (since Linux 4.8)", since="4.8")
def test_seccomp_stop_is_followed_by_exit_stop(fork):
    """After a PTRACE_EVENT_SECCOMP stop PTRACE_SYSCALL leads to a syscall-exit-stop without a syscall-enter-stop
    before it.
    """

    def life() -> None:
        number = number_of("getpid")
        pid = traced(lambda: filtered(number, lambda: int(syscall(number) > 0)), PTRACE_O_TRACESECCOMP)
        to_filtered_call(pid)
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(1)

    fork(life).result()


@clause("ptrace.syscall_info-seccomp", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_syscall_info_of_seccomp_stop(fork):
    """In a PTRACE_EVENT_SECCOMP stop PTRACE_GET_SYSCALL_INFO returns the system call's number and arguments and the
    data of the rule.
    """

    def life() -> None:
        number = number_of("tgkill")
        pid = traced(lambda: filtered(number, lambda: syscall(number, 11, 12, 0)), PTRACE_O_TRACESECCOMP)
        to_filtered_call(pid)
        info = ptrace_syscall_info(pid)
        assert info.op == PTRACE_SYSCALL_INFO_SECCOMP
        assert (info.nr, info.args[:3], info.ret_data) == (number, (11, 12, 0), 77)

    fork(life).result()
