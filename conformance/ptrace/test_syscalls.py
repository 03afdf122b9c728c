"""ptrace(2): stops at the entry and the exit of system calls, what is told of them, and what can be changed there."""

from __future__ import annotations

import os
from dataclasses import replace
from errno import EBADF, EINTR, EIO, ENOSYS
from signal import SIGTRAP, SIGUSR1

import pytest

from pytest_ipc import clause, fails_with, untested
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
    """Let a tracee with syscall-stops go on until something is written to a pipe: how much was, at the stops."""
    amounts: list[int] = []
    while not amounts or not amounts[-1]:
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == SYSCALL_STOP
        amounts.append(unread(pipe.read_fd))
    return amounts


@clause("ptrace.syscall-stops", "ptrace(2)", SECTION)
def test_a_call_stops_at_entry_and_at_exit(fork, pipe):
    """After PTRACE_SYSCALL the tracee stops just before it makes a system call, and again when that has been made."""
    data = pipe()

    def life() -> None:
        pid = traced(lambda: write(data.write_fd, b"!"), PTRACE_O_TRACESYSGOOD)
        amounts = until_written(pid, data)
        assert (len(amounts) % 2, amounts[-2:]) == (0, [0, 1])
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(1)

    fork(life).result()


@clause("ptrace.syscall-stop-signal", "ptrace(2)", SECTION)
def test_a_syscall_stop_looks_like_a_sigtrap(fork):
    """Without PTRACE_O_TRACESYSGOOD a syscall-stop is reported as SIGTRAP, of which PTRACE_GETSIGINFO gives that code."""

    def life() -> None:
        pid = traced(int)
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code) == (SIGTRAP, SIGTRAP)

    fork(life).result()


@clause("ptrace.sysgood", "ptrace(2)", SECTION)
def test_sysgood_marks_a_syscall_stop(fork):
    """With PTRACE_O_TRACESYSGOOD a syscall-stop is reported as SIGTRAP | 0x80, of which PTRACE_GETSIGINFO gives that code."""

    def life() -> None:
        pid = traced(int, PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP | 0x80)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code) == (SIGTRAP, SIGTRAP | 0x80)

    fork(life).result()


@clause("ptrace.sigtrap-is-no-syscall-stop", "ptrace(2)", SECTION)
def test_a_sigtrap_that_was_sent_is_told_apart(fork):
    """A SIGTRAP that a process sent is reported as SIGTRAP, and PTRACE_GETSIGINFO gives a code of at most 0."""

    def life() -> None:
        pid = traced(raising(SIGTRAP), PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        assert ptrace_siginfo(pid).code <= 0

    fork(life).result()


@clause("ptrace.no-exit-stop-after-cont", "ptrace(2)", SECTION, since="5.3")
def test_another_restart_has_no_exit_stop(fork):
    """After a syscall-enter-stop a restart other than PTRACE_SYSCALL is followed by no syscall-exit-stop."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("getpid")) and 3)
        to_entry(pid, number_of("getpid"))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(3)

    fork(life).result()


@clause("ptrace.signal-after-exit-stop", "ptrace(2)", SECTION, since="5.3")
def test_a_signal_comes_after_the_exit_stop(fork):
    """A signal that interrupts a system call stops the tracee after the syscall-exit-stop, and not before."""

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
def test_a_call_is_told_at_its_entry(fork):
    """At a syscall-enter-stop PTRACE_GET_SYSCALL_INFO gives the number of the call and its arguments."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("tgkill"), 11, 12, 0) and 0)
        info = to_entry(pid, number_of("tgkill"))
        assert (info.op, info.nr, info.args[:3]) == (PTRACE_SYSCALL_INFO_ENTRY, number_of("tgkill"), (11, 12, 0))
        assert info.arch
        assert info.instruction_pointer
        assert info.stack_pointer

    fork(life).result()


@clause("ptrace.syscall_info-exit", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_the_result_of_a_call_is_told_at_its_exit(fork):
    """At a syscall-exit-stop PTRACE_GET_SYSCALL_INFO gives the return value, or an error as a negative number and so marked."""

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
def test_no_call_is_told_without_sysgood(fork):
    """Without PTRACE_O_TRACESYSGOOD, and in stops that no system call is the cause of, PTRACE_SYSCALL_INFO_NONE is given."""

    def life() -> None:
        pid = traced(int)
        needs_syscall_info(pid)
        assert ptrace_syscall_info(pid).op == PTRACE_SYSCALL_INFO_NONE
        ptrace(PTRACE_SYSCALL, pid)
        assert next_of(pid) == Stopped(SIGTRAP)
        assert ptrace_syscall_info(pid).op == PTRACE_SYSCALL_INFO_NONE

    fork(life).result()


@clause("ptrace.syscall_info-size", "ptrace(2)", "DESCRIPTION", since="5.3")
def test_as_much_is_told_as_there_is_room_for(fork):
    """PTRACE_GET_SYSCALL_INFO returns how many bytes there are to give, and writes no more than addr has room for."""

    def life() -> None:
        pid = traced(lambda: syscall(number_of("tgkill"), 11, 12, 0) and 0)
        whole = to_entry(pid, number_of("tgkill"))
        part = ptrace_syscall_info(pid, 24 + 8 + 8)  # the head, the number, and one argument
        assert part.size == whole.size > 24 + 8 + 8
        assert (part.nr, part.args[:3]) == (whole.nr, (11, 0, 0))

    fork(life).result()


@clause("ptrace.set_syscall_info-call", "ptrace(2)", "DESCRIPTION", since="6.16")
def test_another_call_can_be_made_of_it(fork):
    """At a syscall-enter-stop PTRACE_SET_SYSCALL_INFO changes the number of the call and its arguments."""

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
def test_another_result_can_be_given(fork, rval, error, status):
    """At a syscall-exit-stop PTRACE_SET_SYSCALL_INFO changes what the call returns, or the error it fails with."""

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
def test_an_emulated_call_is_not_made(fork, pipe):
    """After PTRACE_SYSEMU the tracee stops at the entry of the next system call, which is not made, and not at its exit."""
    data = pipe()

    def child() -> int:
        write(data.write_fd, b"!")  # from here on there is memory enough to do it again
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
                untested("needs a processor whose kernel has PTRACE_SYSEMU")
            raise
        assert next_of(pid) == Stopped(SIGTRAP)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(100 + ENOSYS)
        assert unread(data.read_fd) == 1

    fork(life).result()


@clause("ptrace.singlestep", "ptrace(2)", "DESCRIPTION")
def test_a_tracee_can_go_one_instruction_on(fork):
    """After PTRACE_SINGLESTEP the tracee executes a single instruction and stops with SIGTRAP."""

    def life() -> None:
        pid = traced(int, PTRACE_O_TRACESYSGOOD)
        for _ in range(20):
            try:
                ptrace(PTRACE_SINGLESTEP, pid)
            except OSError as error:
                if error.errno == EIO:
                    untested("needs a processor that goes step by step")
                raise
            assert next_of(pid) == Stopped(SIGTRAP)
        ptrace(PTRACE_DETACH, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()
