"""ptrace(2): group-stops, PTRACE_LISTEN and PTRACE_INTERRUPT."""

from __future__ import annotations

from errno import EINVAL
from signal import SIGCONT, SIGSTOP, SIGTRAP, SIGTSTP

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_EVENT_STOP,
    PTRACE_INTERRUPT,
    PTRACE_LISTEN,
    kill,
    ptrace,
    ptrace_siginfo,
)

from .tracee import (
    Exited,
    Stopped,
    asleep_in_a_traced_call,
    next_of,
    raising,
    reaches,
    seized,
    silent,
    traced,
)


@clause("ptrace.group-stop", "ptrace(2)", "Group-stop")
@pytest.mark.parametrize("signo", [SIGSTOP, SIGTSTP], ids=["SIGSTOP", "SIGTSTP"])
def test_injected_stop_signal_leads_to_group_stop(fork, signo):
    """An injected stop signal leads to a group-stop, in which PTRACE_GETSIGINFO fails with EINVAL."""

    def life() -> None:
        pid = traced(raising(signo))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(signo)
        ptrace(PTRACE_CONT, pid, 0, signo)
        assert next_of(pid) == Stopped(signo)
        with fails_with(EINVAL):
            ptrace_siginfo(pid)

    fork(life).result()


@clause("ptrace.stop-suppressed", "ptrace(2)", "Signal injection and suppression")
def test_stop_signal_can_be_suppressed(fork):
    """A suppressed stop signal does not stop the process."""

    def life() -> None:
        pid = traced(raising(SIGTSTP, 5))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGTSTP)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(5)

    fork(life).result()


@clause("ptrace.group-stop-restarted", "ptrace(2)", "Group-stop")
def test_restart_ends_group_stop(fork):
    """A tracee restarted from a group-stop runs, as if the stop signal had been ignored."""

    def life() -> None:
        pid = traced(lambda: 5)
        ptrace(PTRACE_CONT, pid, 0, SIGSTOP)
        assert next_of(pid) == Stopped(SIGSTOP)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(5)

    fork(life).result()


def group_stopped() -> int:
    """Return a seized child in a group-stop."""
    pid = seized(raising(SIGTSTP, 5))
    assert next_of(pid) == Stopped(SIGTSTP)
    ptrace(PTRACE_CONT, pid, 0, SIGTSTP)
    assert next_of(pid) == Stopped(SIGTSTP, PTRACE_EVENT_STOP)
    return pid


def listening() -> int:
    """Return a seized child in a group-stop after PTRACE_LISTEN."""
    pid = group_stopped()
    ptrace(PTRACE_LISTEN, pid)
    assert reaches(pid, "tT")
    return pid


@clause("ptrace.group-stop-seized", "ptrace(2)", "Group-stop", since="3.4")
def test_group_stop_of_seized_tracee_is_an_event(fork):
    """The group-stop of a seized tracee is reported as PTRACE_EVENT_STOP with the stop signal."""
    fork(group_stopped).result()


@clause("ptrace.listen", "ptrace(2)", "Group-stop", since="3.4")
def test_listen_keeps_group_stop(fork):
    """After PTRACE_LISTEN the tracee does not run; SIGCONT leads to a PTRACE_EVENT_STOP, from which it can be
    restarted.
    """

    def life() -> None:
        pid = listening()
        assert silent(pid)
        kill(pid, SIGCONT)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_STOP)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGCONT)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(5)

    fork(life).result()


@clause("ptrace.listen-interrupted", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_interrupt_of_listening_tracee(fork):
    """PTRACE_INTERRUPT after PTRACE_LISTEN stops the tracee with PTRACE_EVENT_STOP and the stop signal."""

    def life() -> None:
        pid = listening()
        ptrace(PTRACE_INTERRUPT, pid)
        assert next_of(pid) == Stopped(SIGTSTP, PTRACE_EVENT_STOP)

    fork(life).result()


@clause("ptrace.interrupt", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_interrupt_stops_without_signal(fork, pipe):
    """PTRACE_INTERRUPT stops a running tracee with PTRACE_EVENT_STOP and SIGTRAP; after a restart an interrupted
    system call continues.
    """
    go = pipe()

    def life() -> None:
        pid = seized(lambda: go.read(1, timeout=None)[0])
        assert silent(pid)
        ptrace(PTRACE_INTERRUPT, pid)
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_STOP)
        ptrace(PTRACE_CONT, pid)
        go.write(b"\x05")
        assert next_of(pid) == Exited(5)

    fork(life).result()


@clause("ptrace.interrupt-ends-the-call", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_interrupt_of_call_leads_to_exit_stop(fork):
    """PTRACE_INTERRUPT of a tracee that sleeps in a call under PTRACE_SYSCALL leads to a syscall-exit-stop."""

    def life() -> None:
        pid = asleep_in_a_traced_call()
        ptrace(PTRACE_INTERRUPT, pid)
        assert next_of(pid) == Stopped(SIGTRAP)

    fork(life).result()


@clause("ptrace.sigcont-wakes", "ptrace(2)", "Signal injection and suppression", since="3.4")
def test_sigcont_ends_group_stop_even_if_suppressed(fork):
    """SIGCONT ends a group-stop before its delivery, even if the tracer suppresses the signal."""

    def life() -> None:
        pid = listening()
        kill(pid, SIGCONT)
        reports = [next_of(pid)]
        while reports[-1] != Stopped(SIGCONT):
            ptrace(PTRACE_CONT, pid)
            reports.append(next_of(pid))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(5)

    fork(life).result()
