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
def test_pause_ends_with_a_handler(fork, signals):
    """pause(2) waits until a signal is caught, and ends in EINTR when its handler has returned, SA_RESTART or not."""

    def life(flags: int):
        caught = signals.catch(SIGUSR1, flags=flags)
        with fails_with(EINTR):
            pause()
        return caught.count

    for flags in (0, SA_RESTART):
        actor = fork(life, flags)
        actor.wait_blocked("pause")
        actor.signal(SIGUSR1)
        assert actor.result() == 1


@clause("pause.ignored-does-not-end-it", "pause(2)", "DESCRIPTION")
def test_pause_goes_on_over_an_ignored_signal(fork, signals):
    """An ignored signal, or one that is blocked, does not end pause(2)."""

    def life():
        caught = signals.catch(SIGUSR1)
        signals.ignore(SIGUSR2)
        signals.block(SIGRTMIN)
        with fails_with(EINTR):
            pause()
        return caught.count

    actor = fork(life)
    for signo in (SIGUSR2, SIGRTMIN, SIGUSR1):
        actor.wait_blocked("pause")
        actor.signal(signo)
    assert actor.result() == 1


@clause("pause.default-ends-the-process", "pause(2)", "DESCRIPTION")
def test_pause_does_not_return_from_a_deadly_signal(fork):
    """A signal whose action is to end the process ends it in pause(2)."""
    actor = fork(pause)
    actor.wait_blocked("pause")
    actor.signal(SIGTERM)
    assert actor.wait() == -SIGTERM


@clause("sigsuspend.swap-wait-restore", "sigsuspend(2)", "DESCRIPTION")
def test_sigsuspend_waits_under_another_mask(fork, signals):
    """sigsuspend(2) puts its mask in place of the process's: a signal pending under the old one is caught, and the old one is back."""

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
def test_sigsuspend_blocks_what_its_mask_says(fork, signals):
    """While sigsuspend(2) waits, what its mask blocks does not end it, even if the process's own mask does not block that."""

    def life() -> list[str]:
        order: list[str] = []
        signals.catch(SIGUSR1, lambda *_: order.append("one"))
        signals.catch(SIGUSR2, lambda *_: order.append("two"))
        signals.block(SIGUSR1)
        with fails_with(EINTR):
            sigsuspend({SIGUSR2})
        return order

    actor = fork(life)
    for signo in (SIGUSR2, SIGUSR1):
        actor.wait_blocked("sigsuspend")
        actor.signal(signo)
    assert sorted(actor.result()) == ["one", "two"]


@clause("sigsuspend.no-restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_sigsuspend_is_not_restarted(fork, signals):
    """sigsuspend(2) ends in EINTR also when the handler was installed with SA_RESTART."""

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        with fails_with(EINTR):
            sigsuspend(())
        return caught.count

    actor = fork(life)
    actor.wait_blocked("sigsuspend")
    actor.signal(SIGUSR1)
    assert actor.result() == 1


@clause("sigsuspend.cannot-block-kill", "sigsuspend(2)", "NOTES")
def test_sigsuspend_cannot_block_kill(fork):
    """SIGKILL in sigsuspend(2)'s mask is not blocked."""
    actor = fork(sigsuspend, {*CATCHABLE, SIGKILL, SIGSTOP})
    actor.wait_blocked("sigsuspend")
    actor.signal(SIGKILL)
    assert actor.wait() == -SIGKILL


@pytest.mark.usefixtures("room_for_signals")
@clause("sigwait.info-and-value", "sigwaitinfo(2)", "DESCRIPTION")
def test_sigwaitinfo_takes_a_signal(fork, signals):
    """sigwaitinfo(2) waits for a signal of its set, and gives its number and what it brought along; then it pends no more."""

    def life() -> tuple[int, int, int, int]:
        signals.block(SIGUSR1, SIGUSR2)
        info = sigwaitinfo({SIGUSR1, SIGUSR2})
        assert sigpending() == set()
        return info.signo, info.code, info.pid, info.value

    actor = fork(life)
    actor.wait_blocked("sigwaitinfo")
    sigqueue(actor.pid, SIGUSR2, 77)
    assert actor.result() == (SIGUSR2, SI_QUEUE, os.getpid(), 77)


@clause("sigwait.sigchld-without-a-handler", "sigwaitinfo(2)", "DESCRIPTION")
def test_a_blocked_sigchld_can_be_waited_for(fork, signals):
    """A blocked SIGCHLD, for which there is no handler and which is ignored by default, pends and is taken with the child's pid."""

    def life() -> tuple[int, bool]:
        signals.default(SIGCHLD)
        signals.block(SIGCHLD)
        child = os.fork()
        if child == 0:
            os._exit(7)
        info = sigtimedwait({SIGCHLD}, 10)
        os.waitpid(child, 0)
        return info.signo, (info.pid, info.status, info.code) == (child, 7, CLD_EXITED)

    assert fork(life).result(30) == (SIGCHLD, True)


@clause("sigwait.pending-at-once", "sigwaitinfo(2)", "DESCRIPTION")
def test_sigwaitinfo_takes_at_once_what_pends(fork, signals):
    """Where a signal of the set pends already, sigwaitinfo(2) returns with it at once; it runs no handler."""

    def life() -> tuple[int, int]:
        caught = signals.catch(SIGUSR1)
        signals.block(SIGUSR1)
        kill(os.getpid(), SIGUSR1)
        code = sigwaitinfo({SIGUSR1}).code
        signals.unblock(SIGUSR1)
        return code, caught.count

    assert fork(life).result() == (SI_USER, 0)


@clause("sigwait.only-the-set", "sigwaitinfo(2)", "DESCRIPTION")
def test_what_is_not_in_the_set_stays(fork, signals):
    """A pending signal that is not in the set is not taken."""

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
def test_sigtimedwait_gives_up(fork, signals):
    """sigtimedwait(2) fails when none of its signals has come within the time, and not before."""

    def life() -> float:
        signals.block(SIGUSR1)
        start = time.monotonic()
        with fails_with(EAGAIN):
            sigtimedwait({SIGUSR1}, 0.02)
        return time.monotonic() - start

    assert fork(life).result() >= 0.02


@clause("sigtimedwait.zero-polls", "sigwaitinfo(2)", "DESCRIPTION")
def test_sigtimedwait_with_no_time_only_looks(fork, signals):
    """With a time of 0 sigtimedwait(2) takes a signal that pends, and fails if none does."""

    def life() -> int:
        signals.block(SIGUSR1)
        with fails_with(EAGAIN):
            sigtimedwait({SIGUSR1}, 0)
        kill(os.getpid(), SIGUSR1)
        return sigtimedwait({SIGUSR1}, 0).signo

    assert fork(life).result() == SIGUSR1


@clause("sigtimedwait.invalid-time-einval", "sigwaitinfo(2)", "ERRORS", errno=EINVAL)
def test_a_time_below_zero_is_refused(fork, signals):
    """sigtimedwait(2) refuses a time below 0, also when a signal pends, which then still does."""

    def life() -> frozenset[int]:
        signals.block(SIGUSR1)
        kill(os.getpid(), SIGUSR1)
        with fails_with(EINVAL):
            sigtimedwait({SIGUSR1}, -1)
        return sigpending()

    assert fork(life).result() == {SIGUSR1}


@clause("sigtimedwait.eintr-other-handler", "sigwaitinfo(2)", "ERRORS", errno=EINTR)
def test_a_handler_for_another_signal_ends_the_wait(fork, signals):
    """A wait for signals ends in EINTR when a handler runs for a signal that is not in the set, SA_RESTART or not."""

    def life(flags: int):
        caught = signals.catch(SIGUSR2, flags=flags)
        signals.block(SIGUSR1)
        with fails_with(EINTR):
            sigwaitinfo({SIGUSR1})
        return caught.count

    for flags in (0, SA_RESTART):
        actor = fork(life, flags)
        actor.wait_blocked("sigwaitinfo")
        actor.signal(SIGUSR2)
        assert actor.result() == 1


@clause(
    "sigtimedwait.stop-cont-eintr",
    "signal(7)",
    "Interruption of system calls and library functions by stop signals",
)
def test_a_stop_ends_the_wait(fork, signals):
    """A wait for signals ends in EINTR, without any handler, when the process has been stopped and continued."""

    def life() -> None:
        signals.block(SIGUSR1)
        sigwaitinfo({SIGUSR1})

    actor = fork(life)
    actor.wait_blocked("sigwaitinfo")
    actor.signal(SIGSTOP)
    actor.wait_state("T")
    actor.signal(SIGCONT)
    with fails_with(EINTR):
        actor.result()


@clause("sigwait.one-of-many-threads", "sigwaitinfo(2)", "NOTES")
def test_one_of_several_waiting_threads_gets_it(fork, signals):
    """Where several threads wait for a signal that is sent to the process, exactly one of them gets it."""

    def life() -> list[int]:
        signals.block(SIGRTMIN)
        values: list[int] = []
        # A thread that was woken and came too late for the signal is told EINTR, which signals.wait() retries.
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
    """SIGKILL and SIGSTOP in the set are no error and are not taken: they stop and end the process that waits."""

    def life() -> None:
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        sigwaitinfo({SIGKILL, SIGSTOP, SIGUSR1})

    actor = fork(life)
    actor.wait_blocked("sigwaitinfo")
    actor.signal(SIGSTOP)
    actor.wait_state("T")
    actor.signal(SIGKILL)
    assert actor.wait() == -SIGKILL
