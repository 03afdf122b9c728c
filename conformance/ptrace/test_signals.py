"""ptrace(2): signal-delivery-stops, injected and suppressed signals."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from errno import EINTR
from signal import SIG_IGN, SIGCONT, SIGTRAP, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import clause
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_SYSCALL,
    Timespec,
    kill,
    nanosleep,
    pause,
    poll,
    ptrace,
    read,
)

from .tracee import (
    Exited,
    Stopped,
    next_of,
    reaches,
    silent,
    traced,
)


def nothing(_signo: int, _frame: object) -> None:
    """Do nothing, as a signal handler."""


def handled(*signals: int) -> Callable[[], int]:
    """Return the function of a child that catches *signals*, raises the first, and exits with the number of the caught
    one, or 0."""

    def life() -> int:
        came = []
        for signo in signals:
            signal.signal(signo, lambda signo, _frame: came.append(signo))
        kill(os.getpid(), signals[0])
        return came[0] if came else 0

    return life


@clause("ptrace.every-signal-stops", "ptrace(2)", "DESCRIPTION")
@pytest.mark.parametrize("disposition", ["default", "ignored", "caught"])
def test_every_signal_stops_tracee(fork, disposition):
    """Every delivered signal stops the tracee, even an ignored one."""

    def child() -> int:
        if disposition != "default":
            signal.signal(SIGUSR1, SIG_IGN if disposition == "ignored" else nothing)
        kill(os.getpid(), SIGUSR1)
        return 0

    def life() -> None:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGUSR1)

    fork(life).result()


@clause("ptrace.stop-reported-without-wuntraced", "ptrace(2)", "Stopped states")
def test_waitpid_reports_stops_without_wuntraced(fork):
    """waitpid() of the tracer reports each ptrace-stop once, even without WUNTRACED."""

    def life() -> None:
        pid = traced(handled(SIGUSR1))
        ptrace(PTRACE_CONT, pid)
        found, status = os.waitpid(pid, 0)
        assert (found, os.WIFSTOPPED(status), os.WSTOPSIG(status)) == (pid, True, SIGUSR1)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)

    fork(life).result()


@clause("ptrace.stopped-does-not-run", "ptrace(2)", "Group-stop")
def test_stopped_tracee_waits_for_tracer(fork, pipe):
    """In a ptrace-stop the tracee does not run and reports no other signal until the tracer restarts it."""
    answer = pipe()

    def child() -> int:
        signal.signal(SIGUSR2, nothing)
        answer.write(b"!")
        return 0

    def life() -> None:
        pid = traced(child)
        assert reaches(pid, "t")
        kill(pid, SIGUSR2)
        kill(pid, SIGCONT)
        assert silent(pid)
        assert poll({answer.read_fd: select.POLLIN}, 0) == {}
        assert reaches(pid, "t")
        ptrace(PTRACE_CONT, pid)
        assert isinstance(next_of(pid), Stopped)

    fork(life).result()


@clause("ptrace.signal-suppressed", "ptrace(2)", "Signal injection and suppression")
def test_signal_can_be_suppressed(fork):
    """A restart with signal 0 from a signal-delivery-stop suppresses the signal."""

    def life() -> None:
        pid = traced(handled(SIGUSR1))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGUSR1)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("ptrace.signal-injected", "ptrace(2)", "Signal injection and suppression")
@pytest.mark.parametrize("op", [PTRACE_CONT, PTRACE_SYSCALL], ids=["CONT", "SYSCALL"])
def test_signal_can_be_injected(fork, op):
    """A restart with the signal from a signal-delivery-stop delivers it."""

    def life() -> None:
        pid = traced(handled(SIGUSR1))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGUSR1)
        ptrace(op, pid, 0, SIGUSR1)
        while (report := next_of(pid)) == Stopped(SIGTRAP):
            ptrace(PTRACE_CONT, pid)
        assert report == Exited(SIGUSR1)

    fork(life).result()


@clause("ptrace.signal-replaced", "ptrace(2)", "Signal injection and suppression")
def test_other_signal_can_be_injected(fork):
    """A restart with another signal from a signal-delivery-stop delivers that signal instead."""

    def life() -> None:
        pid = traced(handled(SIGUSR1, SIGUSR2))
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Stopped(SIGUSR1)
        ptrace(PTRACE_CONT, pid, 0, SIGUSR2)
        assert next_of(pid) == Exited(SIGUSR2)

    fork(life).result()


@clause("ptrace.blocked-signal-no-stop", "ptrace(2)", "Signal-delivery-stop")
def test_blocked_signal_stops_after_unblocking(fork):
    """A blocked signal stops the tracee only when it is unblocked."""

    def child() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        kill(os.getpid(), SIGUSR2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGUSR1})
        return 0

    def life() -> None:
        pid = traced(child)
        for signo in (SIGUSR2, SIGUSR1):
            ptrace(PTRACE_CONT, pid)
            assert next_of(pid) == Stopped(signo)

    fork(life).result()


def read_nothing() -> None:
    read(os.pipe()[0], 1)


def poll_nothing() -> None:
    poll({}, -1)


def sleep_long() -> None:
    nanosleep(Timespec(1000))


@clause("ptrace.suppressed-restarts-the-call", "ptrace(2)", "Signal injection and suppression")
@pytest.mark.parametrize("call", [pause, read_nothing, poll_nothing, sleep_long])
def test_suppressed_signal_restarts_call(fork, call):
    """A system call interrupted by a suppressed signal is restarted, even one that a handler would end with EINTR."""

    def child() -> int:
        signal.signal(SIGUSR1, nothing)
        try:
            call()
        except OSError as error:
            return error.errno or 0
        return 0

    def life() -> None:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        assert reaches(pid, "S")
        for injected in (0, SIGUSR1):
            assert silent(pid)
            kill(pid, SIGUSR1)
            assert next_of(pid) == Stopped(SIGUSR1)
            ptrace(PTRACE_CONT, pid, 0, injected)
            assert reaches(pid, "Z" if injected else "S")
        assert next_of(pid) == Exited(EINTR)

    fork(life).result()
