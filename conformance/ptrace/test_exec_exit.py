"""ptrace(2): execve(2) and the exit of a tracee."""

from __future__ import annotations

import os
from select import POLLHUP, POLLIN
from signal import SIGTERM, SIGTRAP, SIGUSR1
from threading import Thread, get_native_id

from pytest_ipc import clause
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_EVENT_CLONE,
    PTRACE_EVENT_EXEC,
    PTRACE_EVENT_EXIT,
    PTRACE_O_TRACECLONE,
    PTRACE_O_TRACEEXEC,
    PTRACE_O_TRACEEXIT,
    SI_USER,
    poll,
    ptrace,
    ptrace_event_message,
    ptrace_siginfo,
)

from .tracee import ATTACHED, Exited, Killed, Stopped, begin, next_of, raising, seized, traced

SECTION = "PTRACE_EVENT stops"


def executes() -> int:
    """Execute a program that exits with 4."""
    os.execv("/bin/sh", ["sh", "-c", "exit 4"])


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
