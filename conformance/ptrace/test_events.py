"""ptrace(2): PTRACE_EVENT stops enabled by options: new processes and threads, execve(2), exit, seccomp."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from errno import EINVAL
from select import POLLHUP, POLLIN
from signal import SIGCHLD, SIGSTOP, SIGTERM, SIGTRAP, SIGUSR1
from threading import Thread, get_native_id

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECCOMP,
    PTRACE_CONT,
    PTRACE_EVENT_CLONE,
    PTRACE_EVENT_EXEC,
    PTRACE_EVENT_EXIT,
    PTRACE_EVENT_FORK,
    PTRACE_EVENT_SECCOMP,
    PTRACE_EVENT_STOP,
    PTRACE_EVENT_VFORK,
    PTRACE_EVENT_VFORK_DONE,
    PTRACE_O_TRACECLONE,
    PTRACE_O_TRACEEXEC,
    PTRACE_O_TRACEEXIT,
    PTRACE_O_TRACEFORK,
    PTRACE_O_TRACESECCOMP,
    PTRACE_O_TRACEVFORK,
    PTRACE_O_TRACEVFORKDONE,
    PTRACE_SETOPTIONS,
    PTRACE_SYSCALL,
    PTRACE_SYSCALL_INFO_SECCOMP,
    SI_USER,
    number_of,
    poll,
    prctl,
    process_state,
    ptrace,
    ptrace_event_message,
    ptrace_siginfo,
    ptrace_syscall_info,
)
from pytest_ipc.kernel.libc import syscall

from ..signal.plain_child import bare_child
from .tracee import Exited, Killed, Report, Stopped, next_of, raising, seized, traced

SECTION = "PTRACE_EVENT stops"

Start = Callable[[Callable[[], int], int], int]
ATTACHED = pytest.mark.parametrize("start", [traced, seized], ids=["traceme", "seized"])


def begin(start: Start, function: Callable[[], int], options: int = 0) -> int:
    """Start a tracee and let it run."""
    pid = start(function, options)
    if start is traced:
        ptrace(PTRACE_CONT, pid)
    return pid


def forks() -> int:
    """Create a child that exits with 3, wait for it and return its status."""
    return os.waitstatus_to_exitcode(os.waitpid(bare_child(lambda: 3), 0)[1])


def spawns() -> int:
    """Do the same with vfork(2), as posix_spawn(3) does."""
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def executes() -> int:
    """Execute a program that exits with 4."""
    os.execv("/bin/sh", ["sh", "-c", "exit 4"])


def threads() -> int:
    """Create a second thread and wait for it."""
    thread = Thread(target=int)
    thread.start()
    thread.join()
    return 0


def to_end(pid: int) -> Report:
    """Restart a tracee, without the SIGCHLD of its children, until its end or another stop; return that."""
    ptrace(PTRACE_CONT, pid)
    while (report := next_of(pid)) == Stopped(SIGCHLD):
        ptrace(PTRACE_CONT, pid)
    return report


@clause("ptrace.event-fork", "ptrace(2)", SECTION, since="2.5.46")
@ATTACHED
def test_fork_is_an_event(fork, start):
    """With PTRACE_O_TRACEFORK the tracee stops before it returns from fork(), and the event message is the child's
    process ID.
    """

    def life() -> None:
        pid = begin(start, forks, PTRACE_O_TRACEFORK)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_FORK)
        child = ptrace_event_message(pid)
        state = process_state(child)
        assert state is not None
        assert state.ppid == pid

    fork(life).result()


@clause("ptrace.auto-attach-sigstop", "ptrace(2)", "Attaching and detaching", since="2.5.46")
def test_new_child_is_attached(fork):
    """With PTRACE_O_TRACEFORK the child of a tracee is traced by the same tracer and stops with SIGSTOP before it
    runs.
    """

    def life() -> None:
        pid = begin(traced, forks, PTRACE_O_TRACEFORK)
        next_of(pid)
        child = ptrace_event_message(pid)
        assert next_of(child) == Stopped(SIGSTOP)
        assert [to_end(child), to_end(pid)] == [Exited(3), Exited(3)]

    fork(life).result()


@clause("ptrace.auto-attach-event-stop", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_new_child_of_seized_tracee_is_seized(fork):
    """With PTRACE_O_TRACEFORK the child of a seized tracee is seized, too, and stops with PTRACE_EVENT_STOP and
    SIGTRAP.
    """

    def life() -> None:
        pid = begin(seized, forks, PTRACE_O_TRACEFORK)
        next_of(pid)
        assert next_of(ptrace_event_message(pid)) == Stopped(SIGTRAP, PTRACE_EVENT_STOP)

    fork(life).result()


@clause("ptrace.auto-attach-options", "ptrace(2)", "Informational and restarting ptrace commands")
def test_new_child_inherits_options(fork):
    """An automatically attached child inherits the ptrace options of its parent."""

    def life() -> None:
        pid = begin(traced, forks, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXIT)
        next_of(pid)
        child = ptrace_event_message(pid)
        next_of(child)
        ptrace(PTRACE_CONT, child)
        assert next_of(child) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)

    fork(life).result()


@clause("ptrace.no-option-no-event", "ptrace(2)", SECTION)
@pytest.mark.parametrize("function", [forks, spawns, threads])
def test_no_event_without_option(fork, function):
    """Without options a tracee does not stop for a new process or thread, which is not traced."""

    def life() -> None:
        assert to_end(traced(function)) == Exited(0 if function is threads else 3)

    fork(life).result()


@clause("ptrace.event-vfork", "ptrace(2)", SECTION, since="2.5.46")
def test_vfork_is_an_event(fork):
    """With PTRACE_O_TRACEVFORK the tracee stops before it returns from vfork(), and the event message is the child's
    process ID.
    """

    def life() -> None:
        pid = begin(traced, spawns, PTRACE_O_TRACEVFORK)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_VFORK)
        assert next_of(ptrace_event_message(pid)) == Stopped(SIGSTOP)

    fork(life).result()


@clause("ptrace.event-vfork-done", "ptrace(2)", SECTION, since="2.5.60")
def test_vfork_done_is_an_event(fork, pipe):
    """With PTRACE_O_TRACEVFORKDONE the tracee stops when its vfork() child has released it; the event message is the
    child's process ID.
    """
    channel = pipe()

    def child() -> int:
        channel.write(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 0"], {}).to_bytes(4, "little"))
        return 0

    def life() -> None:
        pid = begin(traced, child, PTRACE_O_TRACEVFORKDONE)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_VFORK_DONE)
        message = ptrace_event_message(pid)
        assert to_end(pid) == Exited(0)
        assert int.from_bytes(channel.read(4), "little") == message

    fork(life).result()


@clause("ptrace.event-clone", "ptrace(2)", SECTION, since="2.5.46")
def test_new_thread_is_an_event(fork, pipe):
    """With PTRACE_O_TRACECLONE the tracee stops when it creates a thread, which is traced, too; the event message is
    its thread ID.
    """
    channel = pipe()

    def child() -> int:
        thread = Thread(target=lambda: channel.write(get_native_id().to_bytes(4, "little")))
        thread.start()
        thread.join()
        return 0

    def life() -> None:
        pid = begin(traced, child, PTRACE_O_TRACECLONE)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_CLONE)
        tid = ptrace_event_message(pid)
        assert next_of(tid) == Stopped(SIGSTOP)
        ptrace(PTRACE_CONT, tid)
        ptrace(PTRACE_CONT, pid)
        assert int.from_bytes(channel.read(4), "little") == tid
        assert {next_of(tid), next_of(pid)} == {Exited(0)}

    fork(life).result()


@clause("ptrace.event-exec", "ptrace(2)", SECTION, since="2.5.46")
@ATTACHED
def test_execve_is_an_event(fork, start):
    """With PTRACE_O_TRACEEXEC the tracee stops before it returns from execve(), and gets no SIGTRAP afterwards."""

    def life() -> None:
        pid = begin(start, executes, PTRACE_O_TRACEEXEC)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXEC)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(4)

    fork(life).result()


@clause("ptrace.exec-message", "ptrace(2)", SECTION, since="3.0")
def test_message_of_execve_is_former_thread(fork, pipe):
    """If a thread calls execve(), the event is reported for the thread group leader, and the event message is the
    former thread ID.
    """
    channel = pipe()

    def child() -> int:
        def other() -> None:
            channel.write(get_native_id().to_bytes(4, "little"))
            executes()

        thread = Thread(target=other)
        thread.start()
        thread.join()
        return 0

    def life() -> None:
        pid = begin(traced, child, PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_CLONE)
        tid = ptrace_event_message(pid)
        next_of(tid)
        ptrace(PTRACE_CONT, tid)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXEC)
        assert ptrace_event_message(pid) == tid == int.from_bytes(channel.read(4), "little")
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(4)

    fork(life).result()


@clause("ptrace.exec-sigtrap", "ptrace(2)", "execve(2) under ptrace")
def test_execve_sends_sigtrap(fork):
    """Without PTRACE_O_TRACEEXEC a tracee that was not seized gets SIGTRAP with si_code SI_USER after execve()."""

    def life() -> None:
        pid = begin(traced, executes)
        assert next_of(pid) == Stopped(SIGTRAP)
        assert ptrace_siginfo(pid).code == SI_USER
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(4)

    fork(life).result()


@clause("ptrace.exec-seized", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_execve_of_seized_tracee_sends_no_sigtrap(fork):
    """A seized tracee gets no SIGTRAP after execve()."""

    def life() -> None:
        assert next_of(begin(seized, executes)) == Exited(4)

    fork(life).result()


@clause("ptrace.event-exit", "ptrace(2)", SECTION, since="2.5.60")
@ATTACHED
def test_exit_is_an_event(fork, start):
    """With PTRACE_O_TRACEEXIT the tracee stops before it exits, and the event message is its exit status."""

    def life() -> None:
        pid = begin(start, lambda: 5, PTRACE_O_TRACEEXIT)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)
        assert ptrace_event_message(pid) == 5 << 8
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(5)

    fork(life).result()


@clause("ptrace.event-exit-signal", "ptrace(2)", SECTION, since="2.5.60")
def test_death_by_signal_is_an_event(fork):
    """With PTRACE_O_TRACEEXIT the tracee stops before it dies of a signal, which is in the event message."""

    def life() -> None:
        pid = begin(traced, raising(SIGTERM), PTRACE_O_TRACEEXIT)
        assert next_of(pid) == Stopped(SIGTERM)
        ptrace(PTRACE_CONT, pid, 0, SIGTERM)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)
        assert ptrace_event_message(pid) == SIGTERM
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Killed(SIGTERM)

    fork(life).result()


@clause("ptrace.exit-not-prevented", "ptrace(2)", "DESCRIPTION", since="2.5.60")
def test_exit_cannot_be_prevented(fork, pipe):
    """At PTRACE_EVENT_EXIT the tracee still has its descriptors; a restart with any signal cannot prevent the exit."""
    kept = pipe()

    def life() -> None:
        pid = begin(traced, lambda: 5, PTRACE_O_TRACEEXIT)
        kept.close_write()
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)
        assert poll({kept.read_fd: POLLIN}, 0) == {}
        ptrace(PTRACE_CONT, pid, 0, SIGUSR1)
        assert next_of(pid) == Exited(5)
        assert poll({kept.read_fd: POLLIN}, 0) == {kept.read_fd: POLLHUP}

    child = fork(life)
    kept.close_write()
    child.result()


@clause("ptrace.event-siginfo", "ptrace(2)", SECTION)
def test_siginfo_of_event(fork):
    """In a PTRACE_EVENT stop PTRACE_GETSIGINFO returns SIGTRAP with the event in the upper byte of si_code."""

    def life() -> None:
        pid = begin(traced, int, PTRACE_O_TRACEEXIT)
        next_of(pid)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code) == (SIGTRAP, PTRACE_EVENT_EXIT << 8 | SIGTRAP)

    fork(life).result()


@clause("ptrace.setoptions-replaces", "ptrace(2)", "Informational and restarting ptrace commands")
def test_setoptions_replaces_options(fork):
    """PTRACE_SETOPTIONS replaces the options of one tracee only."""

    def life() -> None:
        pid, other = traced(int, PTRACE_O_TRACEEXIT), traced(int, PTRACE_O_TRACEEXIT)
        ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC)
        for tracee in (pid, other):
            ptrace(PTRACE_CONT, tracee)
        assert next_of(pid) == Exited(0)
        assert next_of(other) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)

    fork(life).result()


@clause("ptrace.setoptions-einval", "ptrace(2)", "ERRORS", errno=EINVAL)
def test_unknown_option_fails(fork):
    """PTRACE_SETOPTIONS fails with EINVAL for an unknown option, and does not change the options."""

    def life() -> None:
        pid = traced(int, PTRACE_O_TRACEEXIT)
        with fails_with(EINVAL):
            ptrace(PTRACE_SETOPTIONS, pid, 0, 1 << 30)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)

    fork(life).result()


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
