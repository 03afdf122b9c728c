"""sigsuspend(2), pause(2), sigwaitinfo(2): waiting for signals, caught or taken."""

from __future__ import annotations

import os
import time
from errno import EAGAIN, EINTR, EINVAL
from signal import SIG_BLOCK, SIGCHLD, SIGCONT, SIGKILL, SIGRTMIN, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2
from threading import Thread

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    CLD_EXITED,
    SA_RESTART,
    SI_QUEUE,
    SI_USER,
    kill,
    pause,
    sigpending,
    sigprocmask,
    sigqueue,
    sigsuspend,
    sigtimedwait,
    sigwaitinfo,
)

from .plain_child import CATCHABLE


@clause("pause.eintr", "pause(2)", "RETURN VALUE")
def test_pause_fails_with_eintr_after_handler(fork, signals):
    """pause() waits until a signal is caught and fails with EINTR after its handler has returned, even with
    SA_RESTART.
    """

    def life(flags: int):
        caught = signals.catch(SIGUSR1, flags=flags)
        with fails_with(EINTR):
            pause()
        return caught.count

    for flags in (0, SA_RESTART):
        child = fork(life, flags)
        child.wait_blocked("pause")
        child.signal(SIGUSR1)
        assert child.result() == 1


@clause("pause.ignored-does-not-end-it", "pause(2)", "DESCRIPTION")
def test_pause_continues_over_ignored_signal(fork, signals):
    """An ignored or blocked signal does not end pause()."""

    def life():
        caught = signals.catch(SIGUSR1)
        signals.ignore(SIGUSR2)
        signals.block(SIGRTMIN)
        with fails_with(EINTR):
            pause()
        return caught.count

    child = fork(life)
    for signo in (SIGUSR2, SIGRTMIN, SIGUSR1):
        child.wait_blocked("pause")
        child.signal(signo)
    assert child.result() == 1


@clause("pause.default-ends-the-process", "pause(2)", "DESCRIPTION")
def test_terminating_signal_ends_process_in_pause(fork):
    """A signal whose action is to terminate terminates a process in pause()."""
    child = fork(pause)
    child.wait_blocked("pause")
    child.signal(SIGTERM)
    assert child.wait() == -SIGTERM


@clause("sigsuspend.swap-wait-restore", "sigsuspend(2)", "DESCRIPTION")
def test_sigsuspend_replaces_and_restores_mask(fork, signals):
    """sigsuspend() temporarily replaces the mask: a pending signal it unblocks is caught, and afterwards the old
    mask is restored.
    """

    def life() -> None:
        one, two = signals.catch(SIGUSR1), signals.catch(SIGUSR2)
        signals.block(SIGUSR1, SIGTERM)
        kill(os.getpid(), SIGUSR1)
        with fails_with(EINTR):
            sigsuspend({SIGUSR2})
        assert (one.count, two.count) == (1, 0)
        assert signals.block() == {SIGUSR1, SIGTERM}

    fork(life).result()


@clause("sigsuspend.mask-holds-while-waiting", "sigsuspend(2)", "DESCRIPTION")
def test_sigsuspend_blocks_signals_of_its_mask(fork, signals):
    """A signal that only the mask of sigsuspend() blocks does not end the wait."""

    def life() -> list[str]:
        order: list[str] = []
        signals.catch(SIGUSR1, lambda *_: order.append("one"))
        signals.catch(SIGUSR2, lambda *_: order.append("two"))
        signals.block(SIGUSR1)
        with fails_with(EINTR):
            sigsuspend({SIGUSR2})
        return order

    child = fork(life)
    for signo in (SIGUSR2, SIGUSR1):
        child.wait_blocked("sigsuspend")
        child.signal(signo)
    assert sorted(child.result()) == ["one", "two"]


@clause("sigsuspend.no-restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_sigsuspend_is_not_restarted(fork, signals):
    """sigsuspend() fails with EINTR even if the handler was established with SA_RESTART."""

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        with fails_with(EINTR):
            sigsuspend(())
        return caught.count

    child = fork(life)
    child.wait_blocked("sigsuspend")
    child.signal(SIGUSR1)
    assert child.result() == 1


@clause("sigsuspend.cannot-block-kill", "sigsuspend(2)", "NOTES")
def test_sigsuspend_cannot_block_sigkill(fork):
    """SIGKILL in the mask of sigsuspend() is not blocked."""
    child = fork(sigsuspend, {*CATCHABLE, SIGKILL, SIGSTOP})
    child.wait_blocked("sigsuspend")
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL


@pytest.mark.usefixtures("sigpending_limit")
@clause("sigwait.info-and-value", "sigwaitinfo(2)", "DESCRIPTION")
def test_sigwaitinfo_takes_signal(fork, signals):
    """sigwaitinfo() waits for a signal of the set and returns its number and siginfo_t; that signal no longer pends."""

    def life() -> tuple[int, int, int, int]:
        signals.block(SIGUSR1, SIGUSR2)
        info = sigwaitinfo({SIGUSR1, SIGUSR2})
        assert sigpending() == set()
        return info.signo, info.code, info.pid, info.value

    child = fork(life)
    child.wait_blocked("sigwaitinfo")
    sigqueue(child.pid, SIGUSR2, 77)
    assert child.result() == (SIGUSR2, SI_QUEUE, os.getpid(), 77)


@clause("sigwait.sigchld-without-a-handler", "sigwaitinfo(2)", "DESCRIPTION")
def test_blocked_sigchld_can_be_waited_for(fork, signals):
    """A blocked SIGCHLD without a handler, ignored by default, pends and is taken by sigtimedwait() with the child's
    process ID.
    """

    def life() -> tuple[int, bool]:
        signals.default(SIGCHLD)
        signals.block(SIGCHLD)
        child = os.fork()
        if child == 0:
            os._exit(7)
        info = sigtimedwait({SIGCHLD}, 10)
        os.waitpid(child, 0)
        return info.signo, (info.pid, info.status, info.code) == (child, 7, CLD_EXITED)

    assert fork(life).result(timeout=30) == (SIGCHLD, True)


@clause("sigwait.pending-at-once", "sigwaitinfo(2)", "DESCRIPTION")
def test_sigwaitinfo_takes_pending_signal_at_once(fork, signals):
    """sigwaitinfo() returns at once if a signal of the set is pending, and runs no handler."""

    def life() -> tuple[int, int]:
        caught = signals.catch(SIGUSR1)
        signals.block(SIGUSR1)
        kill(os.getpid(), SIGUSR1)
        code = sigwaitinfo({SIGUSR1}).code
        signals.unblock(SIGUSR1)
        return code, caught.count

    assert fork(life).result() == (SI_USER, 0)


@clause("sigwait.only-the-set", "sigwaitinfo(2)", "DESCRIPTION")
def test_signal_outside_set_stays_pending(fork, signals):
    """sigwaitinfo() does not take a pending signal that is not in the set."""

    def life() -> frozenset[int]:
        signals.block(SIGUSR1, SIGUSR2)
        kill(os.getpid(), SIGUSR1)
        kill(os.getpid(), SIGUSR2)
        assert sigwaitinfo({SIGUSR2}).signo == SIGUSR2
        with fails_with(EAGAIN):
            sigtimedwait({SIGUSR2}, 0)
        return sigpending()

    assert fork(life).result() == {SIGUSR1}


@clause("sigtimedwait.timeout-eagain", "sigwaitinfo(2)", "ERRORS", errno=EAGAIN)
def test_sigtimedwait_fails_after_timeout(fork, signals):
    """sigtimedwait() fails with EAGAIN if no signal of the set arrives before the timeout expires, and not earlier."""

    def life() -> float:
        signals.block(SIGUSR1)
        start = time.monotonic()
        with fails_with(EAGAIN):
            sigtimedwait({SIGUSR1}, 0.02)
        return time.monotonic() - start

    assert fork(life).result() >= 0.02


@clause("sigtimedwait.zero-polls", "sigwaitinfo(2)", "DESCRIPTION")
def test_sigtimedwait_with_zero_timeout_polls(fork, signals):
    """sigtimedwait() with a timeout of 0 takes a pending signal, and fails with EAGAIN if none is pending."""

    def life() -> int:
        signals.block(SIGUSR1)
        with fails_with(EAGAIN):
            sigtimedwait({SIGUSR1}, 0)
        kill(os.getpid(), SIGUSR1)
        return sigtimedwait({SIGUSR1}, 0).signo

    assert fork(life).result() == SIGUSR1


@clause("sigtimedwait.invalid-time-einval", "sigwaitinfo(2)", "ERRORS", errno=EINVAL)
def test_negative_timeout_fails(fork, signals):
    """sigtimedwait() fails with EINVAL for a negative timeout, even if a signal is pending, which stays pending."""

    def life() -> frozenset[int]:
        signals.block(SIGUSR1)
        kill(os.getpid(), SIGUSR1)
        with fails_with(EINVAL):
            sigtimedwait({SIGUSR1}, -1)
        return sigpending()

    assert fork(life).result() == {SIGUSR1}


@clause("sigtimedwait.eintr-other-handler", "sigwaitinfo(2)", "ERRORS", errno=EINTR)
def test_handler_for_other_signal_ends_wait(fork, signals):
    """sigwaitinfo() fails with EINTR when a handler runs for a signal that is not in the set, even with SA_RESTART."""

    def life(flags: int):
        caught = signals.catch(SIGUSR2, flags=flags)
        signals.block(SIGUSR1)
        with fails_with(EINTR):
            sigwaitinfo({SIGUSR1})
        return caught.count

    for flags in (0, SA_RESTART):
        child = fork(life, flags)
        child.wait_blocked("sigwaitinfo")
        child.signal(SIGUSR2)
        assert child.result() == 1


@clause(
    "sigtimedwait.stop-cont-eintr",
    "signal(7)",
    "Interruption of system calls and library functions by stop signals",
)
def test_stop_and_continue_ends_wait(fork, signals):
    """sigwaitinfo() fails with EINTR, without any handler, after the process has been stopped and continued."""

    def life() -> None:
        signals.block(SIGUSR1)
        sigwaitinfo({SIGUSR1})

    child = fork(life)
    child.wait_blocked("sigwaitinfo")
    child.signal(SIGSTOP)
    child.wait_state("T")
    child.signal(SIGCONT)
    with fails_with(EINTR):
        child.result()


@clause("sigwait.one-of-many-threads", "sigwaitinfo(2)", "NOTES")
def test_one_of_several_waiting_threads_gets_signal(fork, signals):
    """If several threads wait for a signal, each instance sent to the process is taken by exactly one of them."""

    def life() -> list[int]:
        signals.block(SIGRTMIN)
        values: list[int] = []
        # A thread that was woken too late for the signal gets EINTR, which signals.wait() retries.
        threads = [Thread(target=lambda: values.append(signals.wait(SIGRTMIN).value), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for value in range(4):
            sigqueue(os.getpid(), SIGRTMIN, value)
        for thread in threads:
            thread.join()
        assert sigpending() == set()
        return sorted(values)

    assert fork(life).result() == [0, 1, 2, 3]


@clause("sigwait.kill-stop-ignored-in-set", "sigwaitinfo(2)", "NOTES")
def test_kill_and_stop_cannot_be_waited_for(fork):
    """SIGKILL and SIGSTOP in the set of sigwaitinfo() are silently ignored: they stop and kill the waiting process."""

    def life() -> None:
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        sigwaitinfo({SIGKILL, SIGSTOP, SIGUSR1})

    child = fork(life)
    child.wait_blocked("sigwaitinfo")
    child.signal(SIGSTOP)
    child.wait_state("T")
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL
