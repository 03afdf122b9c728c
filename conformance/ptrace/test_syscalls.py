"""ptrace(2): syscall-enter-stops and syscall-exit-stops, and examining and changing system calls."""

from __future__ import annotations

import os
from dataclasses import replace
from errno import EBADF, EINTR, EIO, ENOSYS
from signal import SIGTRAP, SIGUSR1

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_DETACH,
    PTRACE_O_TRACESYSGOOD,
    PTRACE_SETOPTIONS,
    PTRACE_SINGLESTEP,
    PTRACE_SYSCALL,
    PTRACE_SYSCALL_INFO_ENTRY,
    PTRACE_SYSCALL_INFO_EXIT,
    PTRACE_SYSCALL_INFO_NONE,
    PTRACE_SYSEMU,
    close,
    kill,
    number_of,
    ptrace,
    ptrace_set_syscall_info,
    ptrace_siginfo,
    ptrace_syscall_info,
    read,
    write,
)
from pytest_ipc.kernel.libc import syscall

from .tracee import (
    SYSCALL_STOP,
    Exited,
    Stopped,
    needs_syscall_info,
    next_of,
    raising,
    reaches,
    to_entry,
    to_syscall_stop,
    traced,
    unread,
)

SECTION = "Syscall-stops"


def until_written(pid: int, pipe) -> list[int]:
    """Restart a tracee from syscall-stop to syscall-stop until a pipe has data; return the unread bytes at each
    stop."""
    amounts: list[int] = []
    while not amounts or not amounts[-1]:
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == SYSCALL_STOP
        amounts.append(unread(pipe.read_fd))
    return amounts


@clause("ptrace.syscall-stops", "ptrace(2)", SECTION)
def test_syscall_stops_at_entry_and_exit(fork, pipe):
    """After PTRACE_SYSCALL the tracee stops just before the next system call is executed, and again after it."""
    data = pipe()

    def life() -> None:
        pid = traced(lambda: write(data.write_fd, b"!"), PTRACE_O_TRACESYSGOOD)
        amounts = until_written(pid, data)
        assert (len(amounts) % 2, amounts[-2:]) == (0, [0, 1])
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(1)

    fork(life).result()


@clause("ptrace.syscall-stop-signal", "ptrace(2)", SECTION)
def test_syscall_stop_is_reported_as_sigtrap(fork):
    """Without PTRACE_O_TRACESYSGOOD a syscall-stop is reported as SIGTRAP, and PTRACE_GETSIGINFO returns SIGTRAP as
    si_code.
    """

    def life() -> None:
        pid = traced(int)
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code) == (SIGTRAP, SIGTRAP)

    fork(life).result()


@clause("ptrace.sysgood", "ptrace(2)", SECTION)
def test_tracesysgood_marks_syscall_stop(fork):
    """With PTRACE_O_TRACESYSGOOD a syscall-stop is reported as SIGTRAP | 0x80, which PTRACE_GETSIGINFO returns as
    si_code.
    """

    def life() -> None:
        pid = traced(int, PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP | 0x80)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code) == (SIGTRAP, SIGTRAP | 0x80)

    fork(life).result()


@clause("ptrace.sigtrap-is-no-syscall-stop", "ptrace(2)", SECTION)
def test_sent_sigtrap_differs_from_syscall_stop(fork):
    """A SIGTRAP sent by a process is reported as SIGTRAP, and PTRACE_GETSIGINFO returns an si_code of at most 0."""

    def life() -> None:
        pid = traced(raising(SIGTRAP), PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        assert ptrace_siginfo(pid).code <= 0

    fork(life).result()


@clause("ptrace.no-exit-stop-after-cont", "ptrace(2)", SECTION, since="5.3")
def test_no_exit_stop_after_other_restart(fork):
    """A restart other than PTRACE_SYSCALL from a syscall-enter-stop leads to no syscall-exit-stop."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("getpid")) and 3)
        to_entry(pid, number_of("getpid"))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(3)

    fork(life).result()


@clause("ptrace.signal-after-exit-stop", "ptrace(2)", SECTION, since="5.3")
def test_signal_is_delivered_after_exit_stop(fork):
    """A signal that interrupts a system call stops the tracee after the syscall-exit-stop, not before."""

    def life() -> None:
        pid = traced(lambda: len(read(os.pipe()[0], 1)))
        to_entry(pid, number_of("read"))
        ptrace(PTRACE_SYSCALL, pid)
        assert reaches(pid, "S")
        kill(pid, SIGUSR1)
        assert (next_of(pid), ptrace_syscall_info(pid).op) == (SYSCALL_STOP, PTRACE_SYSCALL_INFO_EXIT)
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGUSR1)

    fork(life).result()


@clause("ptrace.syscall_info-entry", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_syscall_info_of_enter_stop(fork):
    """At a syscall-enter-stop PTRACE_GET_SYSCALL_INFO returns the number and the arguments of the system call."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("tgkill"), 11, 12, 0) and 0)
        info = to_entry(pid, number_of("tgkill"))
        assert (info.op, info.nr, info.args[:3]) == (PTRACE_SYSCALL_INFO_ENTRY, number_of("tgkill"), (11, 12, 0))
        assert info.arch
        assert info.instruction_pointer
        assert info.stack_pointer

    fork(life).result()


@clause("ptrace.syscall_info-exit", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_syscall_info_of_exit_stop(fork):
    """At a syscall-exit-stop PTRACE_GET_SYSCALL_INFO returns the return value, or a negative error number with
    is_error set.
    """

    def child() -> int:
        with fails_with(EBADF):
            close(-1)
        return syscall(number_of("getpid")) and 0

    def life() -> None:
        pid = traced(child)
        needs_syscall_info(pid)
        ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD)
        results = []
        while pid not in results:
            info = to_syscall_stop(pid)
            if info.op == PTRACE_SYSCALL_INFO_EXIT:
                results.append(info.rval)
                assert info.is_error == (info.rval == -EBADF)
        assert -EBADF in results

    fork(life).result()


@clause("ptrace.syscall_info-none", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_syscall_info_of_other_stops_is_none(fork):
    """PTRACE_GET_SYSCALL_INFO returns PTRACE_SYSCALL_INFO_NONE without PTRACE_O_TRACESYSGOOD, and in stops other
    than syscall-stops.
    """

    def life() -> None:
        pid = traced(int)
        needs_syscall_info(pid)
        assert ptrace_syscall_info(pid).op == PTRACE_SYSCALL_INFO_NONE
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        assert ptrace_syscall_info(pid).op == PTRACE_SYSCALL_INFO_NONE

    fork(life).result()


@clause("ptrace.syscall_info-size", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_syscall_info_is_truncated_to_buffer(fork):
    """PTRACE_GET_SYSCALL_INFO returns the number of available bytes, and writes no more than addr bytes."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("tgkill"), 11, 12, 0) and 0)
        whole = to_entry(pid, number_of("tgkill"))
        part = ptrace_syscall_info(pid, 24 + 8 + 8)  # the head, the number, and one argument
        assert part.size == whole.size > 24 + 8 + 8
        assert (part.nr, part.args[:3]) == (whole.nr, (11, 0, 0))

    fork(life).result()


@clause("ptrace.set_syscall_info-call", "ptrace(2)", "DESCRIPTION", since="6.16")
def test_set_syscall_info_changes_call(fork):
    """At a syscall-enter-stop PTRACE_SET_SYSCALL_INFO changes the number and the arguments of the system call."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("getpid")) % 256)
        info = to_entry(pid, number_of("getpid"))
        args = (pid, pid, SIGUSR1, 0, 0, 0)
        ptrace_set_syscall_info(pid, replace(info, nr=number_of("tgkill"), args=args))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGUSR1)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("ptrace.set_syscall_info-result", "ptrace(2)", "DESCRIPTION", since="6.16")
@pytest.mark.parametrize(("rval", "error", "status"), [(77, False, 77), (-EINTR, True, EINTR)])
def test_set_syscall_info_changes_result(fork, rval, error, status):
    """At a syscall-exit-stop PTRACE_SET_SYSCALL_INFO changes the return value or the error of the system call."""

    def child() -> int:
        try:
            return syscall(number_of("getpid"))
        except OSError as error:
            return error.errno or 0

    def life() -> None:
        pid = traced(child)
        to_entry(pid, number_of("getpid"))
        info = to_syscall_stop(pid)
        ptrace_set_syscall_info(pid, replace(info, rval=rval, is_error=error))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(status)

    fork(life).result()


@clause("ptrace.sysemu", "ptrace(2)", SECTION)
def test_sysemu_does_not_execute_call(fork, pipe):
    """After PTRACE_SYSEMU the tracee stops at the entry of the next system call, which is not executed, and not at
    its exit.
    """
    data = pipe()

    def child() -> int:
        write(data.write_fd, b"!")  # allocates all memory that the second call needs
        kill(os.getpid(), SIGUSR1)
        try:
            return write(data.write_fd, b"!")
        except OSError as error:
            return 100 + (error.errno or 0)

    def life() -> None:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGUSR1)
        try:
            ptrace(PTRACE_SYSEMU, pid)
        except OSError as error:
            if error.errno == EIO:
                untested(Need.ARCHITECTURE, "needs an architecture with PTRACE_SYSEMU")
            raise
        assert next_of(pid) == Stopped(SIGTRAP)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(100 + ENOSYS)
        assert unread(data.read_fd) == 1

    fork(life).result()


@clause("ptrace.singlestep", "ptrace(2)", "DESCRIPTION")
def test_singlestep_executes_one_instruction(fork):
    """After PTRACE_SINGLESTEP the tracee executes one instruction and stops with SIGTRAP."""

    def life() -> None:
        pid = traced(int, PTRACE_O_TRACESYSGOOD)
        for _ in range(20):
            try:
                ptrace(PTRACE_SINGLESTEP, pid)
            except OSError as error:
                if error.errno == EIO:
                    untested(Need.ARCHITECTURE, "needs an architecture with single-stepping")
                raise
            assert next_of(pid) == Stopped(SIGTRAP)
        ptrace(PTRACE_DETACH, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()
