"""signal(7), sigqueue(3): pending standard signals, the queue of real-time signals, its order and its limit."""

from __future__ import annotations

import os
from ctypes import c_int
from errno import EAGAIN, EINVAL, EPERM, ESRCH
from signal import NSIG, SIGKILL, SIGRTMAX, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SI_USER, kill, pause, sigpending, sigqueue, sigtimedwait
from pytest_ipc.kernel.libc import function, never

from ..credentials import GROUP, STRANGER
from .plain_child import NOBODY, limit_pending


@clause("signal.sigrtmin-nptl-offset", "signal(7)", "Real-time signals")
def test_range_of_real_time_signals():
    """Of the kernel's real-time signals 32 to 64 libc reserves the first two or three: SIGRTMIN is 34 or 35, and
    SIGRTMAX is 64.
    """
    first, last = (function(f"__libc_current_sigrt{end}", c_int, fails=never)() for end in ("min", "max"))
    assert first in (34, 35)
    assert last == 64
    assert (first, last) == (SIGRTMIN, SIGRTMAX)


@clause("signal.standard-coalesce", "signal(7)", "Queueing and delivery semantics for standard signals")
def test_standard_signal_pends_once(fork, signals):
    """A standard signal that is sent again while it is pending is not queued, whichever call sends it."""

    def life() -> None:
        signals.block(SIGUSR1)
        for _ in range(3):
            kill(os.getpid(), SIGUSR1)
            sigqueue(os.getpid(), SIGUSR1)
        assert sigtimedwait({SIGUSR1}, 0).signo == SIGUSR1
        with fails_with(EAGAIN):
            sigtimedwait({SIGUSR1}, 0)

    fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("signal.standard-first-siginfo-kept", "signal(7)", "Queueing and delivery semantics for standard signals")
def test_first_instance_is_kept(fork, signals):
    """If a standard signal is sent again while it is pending, the siginfo_t of the first instance is kept."""

    def life() -> int:
        signals.block(SIGUSR1)
        for value in (11, 22, 33):
            sigqueue(os.getpid(), SIGUSR1, value)
        return sigtimedwait({SIGUSR1}, 0).value

    assert fork(life).result() == 11


@clause("signal.rt-queue", "signal(7)", "Real-time signals")
def test_real_time_signals_queue_in_order(fork, signals):
    """Every instance of a real-time signal is queued with its value, and delivered in the order in which it was
    sent.
    """

    def life() -> list[int]:
        signals.block(SIGRTMIN)
        for value in (3, 1, 2, 1):
            sigqueue(os.getpid(), SIGRTMIN, value)
        values = [sigtimedwait({SIGRTMIN}, 0).value for _ in range(4)]
        with fails_with(EAGAIN):
            sigtimedwait({SIGRTMIN}, 0)
        return values

    assert fork(life).result() == [3, 1, 2, 1]


@pytest.mark.usefixtures("sigpending_limit")
@clause("signal.rt-kill-queues", "signal(7)", "Real-time signals")
def test_kill_queues_real_time_signals(fork, signals):
    """Every instance of a real-time signal is queued also when kill() sends it."""

    def life() -> list[int]:
        signals.block(SIGRTMAX)
        for _ in range(3):
            kill(os.getpid(), SIGRTMAX)
        codes = [sigtimedwait({SIGRTMAX}, 0).code for _ in range(3)]
        assert sigpending() == set()
        return codes

    assert fork(life).result() == [SI_USER] * 3


@clause("signal.rt-lowest-first", "signal(7)", "Real-time signals")
def test_lowest_real_time_signal_comes_first(fork, signals):
    """Of several pending real-time signals the one with the lowest number is delivered first, and of one number the
    oldest.
    """

    def life() -> list[tuple[int, int]]:
        wanted = {SIGRTMIN, SIGRTMIN + 1, SIGRTMAX}
        signals.block(*wanted)
        for value, signo in enumerate((SIGRTMAX, SIGRTMIN + 1, SIGRTMIN, SIGRTMIN + 1)):
            sigqueue(os.getpid(), signo, value)
        infos = [sigtimedwait(wanted, 0) for _ in range(4)]
        return [(info.signo, info.value) for info in infos]

    assert fork(life).result() == [(SIGRTMIN, 2), (SIGRTMIN + 1, 1), (SIGRTMIN + 1, 3), (SIGRTMAX, 0)]


@clause("signal.standard-before-rt", "signal(7)", "Real-time signals")
def test_standard_signals_come_before_real_time_signals(fork, signals):
    """If both standard and real-time signals are pending, the standard signals are delivered first."""

    def life() -> list[int]:
        wanted = {SIGRTMIN, SIGUSR2}
        signals.block(*wanted)
        sigqueue(os.getpid(), SIGRTMIN)
        sigqueue(os.getpid(), SIGUSR2)
        return [sigtimedwait(wanted, 0).signo for _ in range(2)]

    assert fork(life).result() == [SIGUSR2, SIGRTMIN]


@clause("signal.rlimit_sigpending-eagain", "sigqueue(3)", "ERRORS", errno=EAGAIN)
def test_sigqueue_at_limit_fails(fork, signals):
    """sigqueue() of a real-time signal fails with EAGAIN and queues nothing if RLIMIT_SIGPENDING is reached, and
    succeeds below it.
    """

    def life() -> None:
        signals.block(SIGRTMIN)
        soft = limit_pending(0)
        with fails_with(EAGAIN):
            sigqueue(os.getpid(), SIGRTMIN, 5)
        assert sigpending() == set()
        limit_pending(soft)
        sigqueue(os.getpid(), SIGRTMIN, 6)
        assert sigtimedwait({SIGRTMIN}, 0).value == 6

    fork(life).result()


@clause("signal.rlimit_sigpending-kill-still-works", "getrlimit(2)", "RLIMIT_SIGPENDING")
@pytest.mark.parametrize("signo", [SIGUSR1, SIGRTMIN], ids=["standard", "real-time"])
def test_kill_succeeds_at_limit(fork, signals, signo):
    """If RLIMIT_SIGPENDING is reached, kill() can still make one instance of a signal pending that is not pending
    yet.
    """

    def life() -> None:
        signals.block(signo)
        limit_pending(0)
        kill(os.getpid(), signo)
        assert sigpending() == {signo}
        assert sigtimedwait({signo}, 0).signo == signo

    fork(life).result()


@clause("sigqueue.sig0-probe", "sigqueue(3)", "DESCRIPTION")
def test_signal_0_only_checks(fork):
    """sigqueue() with signal 0 sends nothing, but reports errors."""
    child = fork(pause)
    child.wait_blocked("pause")
    sigqueue(child.pid, 0)
    with fails_with(ESRCH):
        sigqueue(NOBODY, 0)
    child.signal(SIGTERM)
    assert child.wait() == -SIGTERM


@clause("sigqueue.einval", "sigqueue(3)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [-1, NSIG], ids=["negative", "above-the-last"])
def test_invalid_signal_fails(fork, signo):
    """sigqueue() fails with EINVAL for an invalid signal number."""
    child = fork(pause)
    with fails_with(EINVAL):
        sigqueue(child.pid, signo)


@clause("sigqueue.esrch", "sigqueue(3)", "ERRORS", errno=ESRCH)
def test_nonexistent_process_fails(fork):
    """sigqueue() fails with ESRCH for a process that does not exist or no longer exists."""
    with fails_with(ESRCH):
        sigqueue(NOBODY, SIGUSR1)
    child = fork(int)
    child.result()
    with fails_with(ESRCH):
        sigqueue(child.pid, SIGUSR1)


@clause("sigqueue.eperm", "sigqueue(3)", "ERRORS", errno=EPERM)
def test_sigqueue_without_permission_fails(fork, as_user):
    """sigqueue() fails with EPERM without permission to signal the process, and sends nothing."""
    child = fork(pause)

    def send() -> None:
        with fails_with(EPERM):
            sigqueue(child.pid, SIGUSR1, 1)

    as_user(STRANGER, GROUP, send)
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL
