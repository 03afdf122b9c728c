"""ptrace(2): the siginfo, the pending signals and the signal mask of a tracee."""

from __future__ import annotations

import os
import signal
from signal import SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2

from pytest_ipc import clause
from pytest_ipc.kernel import (
    PTRACE_CONT,
    SI_QUEUE,
    SI_USER,
    kill,
    ptrace,
    ptrace_pending,
    ptrace_set_siginfo,
    ptrace_set_sigmask,
    ptrace_siginfo,
    ptrace_sigmask,
    sigqueue,
    sigtimedwait,
    tgkill,
)

from ..signal.plain_child import SOON
from .tracee import (
    Exited,
    next_of,
    traced,
)


def queueing() -> int:
    """Send this process SIGUSR1 with a value."""
    sigqueue(os.getpid(), SIGUSR1, 42)
    return 0


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
