"""ptrace(2): signal-delivery-stops and group-stops, and injecting and suppressing signals."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from errno import ECHILD, EINTR, EINVAL
from signal import SIG_IGN, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTRAP, SIGTSTP, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_EVENT_STOP,
    PTRACE_INTERRUPT,
    PTRACE_KILL,
    PTRACE_LISTEN,
    PTRACE_SEIZE,
    PTRACE_SYSCALL,
    SI_QUEUE,
    SI_USER,
    Timespec,
    kill,
    nanosleep,
    pause,
    poll,
    ptrace,
    ptrace_pending,
    ptrace_set_siginfo,
    ptrace_set_sigmask,
    ptrace_siginfo,
    ptrace_sigmask,
    read,
    sigqueue,
    sigtimedwait,
    tgkill,
)

from ..signal.plain_child import SOON, bare_child
from .tracee import (
    Exited,
    Killed,
    Stopped,
    asleep_in_a_traced_call,
    next_of,
    raising,
    reaches,
    seized,
    silent,
    sleep,
    traced,
)


def nothing(_signo: int, _frame: object) -> None:
    """Do nothing, as a signal handler."""


def queueing() -> int:
    """Send this process SIGUSR1 with a value."""
    sigqueue(os.getpid(), SIGUSR1, 42)
    return 0


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


@clause("ptrace.getsiginfo", "ptrace(2)", "DESCRIPTION")
def test_getsiginfo_returns_signal_of_stop(fork):
    """PTRACE_GETSIGINFO returns the siginfo_t of the signal that stopped the tracee."""

    def life() -> None:
        pid = traced(queueing)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code, info.pid) == (SIGSTOP, SI_USER, pid)
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code, info.pid, info.value) == (SIGUSR1, SI_QUEUE, pid, 42)

    fork(life).result()


@clause("ptrace.setsiginfo", "ptrace(2)", "DESCRIPTION")
def test_setsiginfo_changes_signal_of_stop(fork):
    """PTRACE_SETSIGINFO changes the siginfo_t of the signal that stopped the tracee."""

    def life() -> None:
        pid = traced(queueing)
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        ptrace_set_siginfo(pid, 43)
        info = ptrace_siginfo(pid)
        assert (info.signo, info.code, info.value) == (SIGUSR1, SI_QUEUE, 43)

    fork(life).result()


def with_pending() -> int:
    """Make two signals pending for this thread and one for the process, then stop; return the sum of their numbers."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1, SIGUSR2, SIGTERM})
    tgkill(os.getpid(), os.getpid(), SIGUSR1)
    tgkill(os.getpid(), os.getpid(), SIGUSR2)
    sigqueue(os.getpid(), SIGTERM, 7)
    kill(os.getpid(), SIGSTOP)
    return sum(sigtimedwait({SIGUSR1, SIGUSR2, SIGTERM}, SOON).signo for _ in range(3))


@clause("ptrace.peeksiginfo", "ptrace(2)", "DESCRIPTION", since="3.10")
def test_peeksiginfo_copies_pending_signals(fork):
    """PTRACE_PEEKSIGINFO copies the signals pending for the thread, or with PTRACE_PEEKSIGINFO_SHARED those for the
    process.
    """

    def life() -> None:
        pid = traced(with_pending)
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        assert [info.signo for info in ptrace_pending(pid, 0, 10)] == [SIGUSR1, SIGUSR2]
        assert [(info.signo, info.value) for info in ptrace_pending(pid, 0, 10, shared=True)] == [(SIGTERM, 7)]

    fork(life).result()


@clause("ptrace.peeksiginfo-position", "ptrace(2)", "DESCRIPTION", since="3.10")
def test_peeksiginfo_starts_at_position(fork):
    """PTRACE_PEEKSIGINFO starts at the given position and copies at most the given number of signals, none beyond
    the last.
    """

    def life() -> None:
        pid = traced(with_pending)
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        assert [info.signo for info in ptrace_pending(pid, 0, 1)] == [SIGUSR1]
        assert [info.signo for info in ptrace_pending(pid, 1, 10)] == [SIGUSR2]
        assert ptrace_pending(pid, 2, 10) == []

    fork(life).result()


@clause("ptrace.peeksiginfo-leaves-them", "ptrace(2)", "DESCRIPTION", since="3.10")
def test_peeksiginfo_removes_no_signal(fork):
    """PTRACE_PEEKSIGINFO does not remove the signals from the queue."""

    def life() -> None:
        pid = traced(with_pending)
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        for shared in (False, True):
            assert ptrace_pending(pid, 0, 10, shared=shared) == ptrace_pending(pid, 0, 10, shared=shared) != []
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(SIGUSR1 + SIGUSR2 + SIGTERM)

    fork(life).result()


@clause("ptrace.getsigmask", "ptrace(2)", "DESCRIPTION", since="3.11")
def test_getsigmask_returns_mask(fork):
    """PTRACE_GETSIGMASK returns the signal mask of the tracee."""

    def child() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1, signal.SIGRTMAX})
        kill(os.getpid(), SIGUSR2)
        return 0

    def life() -> None:
        pid = traced(child)
        assert ptrace_sigmask(pid) == frozenset()
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        assert ptrace_sigmask(pid) == {SIGUSR1, signal.SIGRTMAX}

    fork(life).result()


@clause("ptrace.setsigmask", "ptrace(2)", "DESCRIPTION", since="3.11")
def test_setsigmask_sets_mask(fork):
    """PTRACE_SETSIGMASK sets the signal mask of the tracee."""

    def child() -> int:
        return sum(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    def life() -> None:
        pid = traced(child)
        ptrace_set_sigmask(pid, {SIGUSR1, SIGTERM})
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(SIGUSR1 + SIGTERM)

    fork(life).result()


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
