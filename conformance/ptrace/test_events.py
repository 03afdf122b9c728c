"""ptrace(2): new children and threads of a tracee as events, and the options for events."""

from __future__ import annotations

import os
from errno import EINVAL
from signal import SIGCHLD, SIGSTOP, SIGTRAP
from threading import Thread, get_native_id

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_EVENT_CLONE,
    PTRACE_EVENT_EXIT,
    PTRACE_EVENT_FORK,
    PTRACE_EVENT_STOP,
    PTRACE_EVENT_VFORK,
    PTRACE_EVENT_VFORK_DONE,
    PTRACE_O_TRACECLONE,
    PTRACE_O_TRACEEXEC,
    PTRACE_O_TRACEEXIT,
    PTRACE_O_TRACEFORK,
    PTRACE_O_TRACEVFORK,
    PTRACE_O_TRACEVFORKDONE,
    PTRACE_SETOPTIONS,
    process_state,
    ptrace,
    ptrace_event_message,
    ptrace_siginfo,
)

from ..signal.plain_child import bare_child
from .tracee import ATTACHED, Exited, Report, Stopped, begin, next_of, seized, traced

SECTION = "PTRACE_EVENT stops"


def forks() -> int:
    """Create a child that exits with 3, wait for it and return its status."""
    return os.waitstatus_to_exitcode(os.waitpid(bare_child(lambda: 3), 0)[1])


def spawns() -> int:
    """Do the same with vfork(2), as posix_spawn(3) does."""
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
