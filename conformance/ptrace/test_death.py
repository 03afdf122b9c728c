"""ptrace(2): the death of a tracee, and to whom it is reported."""

from __future__ import annotations

import os
from errno import ECHILD
from signal import SIGKILL, SIGTERM

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_KILL,
    PTRACE_SEIZE,
    kill,
    ptrace,
)

from ..signal.plain_child import bare_child
from .tracee import (
    Exited,
    Killed,
    Stopped,
    asleep_in_a_traced_call,
    next_of,
    raising,
    reaches,
    sleep,
    traced,
)


@clause("ptrace.sigkill-no-stop", "ptrace(2)", "Death under ptrace")
@pytest.mark.parametrize("where", ["stopped", "asleep"])
def test_sigkill_terminates_tracee(fork, where):
    """SIGKILL terminates a tracee without a stop, whether it sleeps in a system call or is stopped."""

    def life() -> None:
        pid = traced(sleep)
        if where == "asleep":
            ptrace(PTRACE_CONT, pid)
            assert reaches(pid, "S")
        kill(pid, SIGKILL)
        assert next_of(pid) == Killed(SIGKILL)

    fork(life).result()


@clause("ptrace.sigkill-no-exit-stop", "ptrace(2)", "Death under ptrace", since="3.4")
def test_sigkill_ends_call_without_exit_stop(fork):
    """SIGKILL terminates a tracee that sleeps in a call under PTRACE_SYSCALL without a syscall-exit-stop."""

    def life() -> None:
        pid = asleep_in_a_traced_call()
        kill(pid, SIGKILL)
        assert next_of(pid) == Killed(SIGKILL)

    fork(life).result()


@clause("ptrace.killing-signal-stops-first", "ptrace(2)", "Death under ptrace")
def test_killing_signal_stops_first(fork):
    """A signal that kills stops the tracee first; the tracee dies when the tracer injects it, and waitpid() reports
    the death.
    """

    def life() -> None:
        pid = traced(raising(SIGTERM))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGTERM)
        ptrace(PTRACE_CONT, pid, 0, SIGTERM)
        assert next_of(pid) == Killed(SIGTERM)

    fork(life).result()


@clause("ptrace.kill", "ptrace(2)", "DESCRIPTION")
def test_ptrace_kill_kills_stopped_tracee(fork):
    """PTRACE_KILL kills a tracee in a signal-delivery-stop with SIGKILL."""

    def life() -> None:
        pid = traced(int)
        ptrace(PTRACE_KILL, pid)
        assert next_of(pid) == Killed(SIGKILL)

    fork(life).result()


@clause("ptrace.death-tracer-first", "ptrace(2)", "Real parent")
def test_death_is_reported_to_tracer_first(fork, pipe):
    """The death of a tracee is reported to the tracer first, and to the parent after the tracer has waited for it."""
    ready, asked, answer = pipe(), pipe(), pipe()

    def parent() -> int:
        pid = bare_child(sleep)
        ready.write(pid.to_bytes(4, "little"))
        for _ in range(2):
            asked.read(1)
            found, status = os.waitpid(pid, os.WNOHANG)
            answer.write(bytes([bool(found), os.WTERMSIG(status)]))
        return 0

    def life() -> None:
        bare_child(parent)
        pid = int.from_bytes(ready.read(4), "little")
        ptrace(PTRACE_SEIZE, pid)
        kill(pid, SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        asked.write(b"?")
        assert answer.read(2) == bytes([False, 0])
        assert next_of(pid) == Killed(SIGKILL)
        asked.write(b"?")
        assert answer.read(2) == bytes([True, SIGKILL])

    fork(life).result()


@clause("ptrace.death-once-to-the-parent", "ptrace(2)", "Real parent", errno=ECHILD)
def test_death_is_reported_once_to_tracer_that_is_parent(fork):
    """If the tracer is the parent, the death of the tracee is reported once."""

    def life() -> None:
        pid = traced(int)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)
        with fails_with(ECHILD):
            os.waitpid(pid, os.WNOHANG)

    fork(life).result()
