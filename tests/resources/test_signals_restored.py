"""Signals put back: everything that a block may have changed, whichever way, and nothing that kills on the way."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import time
from signal import (
    ITIMER_PROF,
    ITIMER_REAL,
    ITIMER_VIRTUAL,
    SIG_BLOCK,
    SIG_DFL,
    SIG_IGN,
    SIG_SETMASK,
    SIGALRM,
    SIGCHLD,
    SIGRTMIN,
    SIGSEGV,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
)

import pytest

from pytest_ipc import Signals
from pytest_ipc.kernel import SA_NOCLDWAIT, SA_RESETHAND, SA_RESTART, SigAction, sigaction, sigaction_change
from pytest_ipc.kernel.signals import sigaction_raw


@pytest.fixture
def in_child(fork):
    """Run a function in a child of one thread; its result."""
    return lambda function, *args: fork(function, *args).result()


def state() -> dict[str, object]:
    signals = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    return {
        "actions": {signo: sigaction(signo) for signo in signals},
        "handlers": {signo: signal.getsignal(signo) for signo in signals},
        "mask": signal.pthread_sigmask(SIG_BLOCK, ()),
        "timers": [signal.getitimer(which)[0] > 0 for which in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF)],
    }


def through_its_methods(signals: Signals) -> None:
    signals.catch(SIGUSR1, flags=SA_RESTART | SA_RESETHAND, mask=[SIGUSR2])
    signals.ignore(SIGUSR2)
    signals.default(SIGTERM)
    signals.block(SIGRTMIN)
    signals.unblock(SIGUSR2)


def behind_its_back(_signals: Signals) -> None:
    signal.signal(SIGUSR1, lambda *_: None)
    signal.signal(SIGTERM, SIG_IGN)
    signal.pthread_sigmask(SIG_SETMASK, [SIGRTMIN])


def by_raw_flags(_signals: Signals) -> None:
    sigaction_change(SIGCHLD, SA_NOCLDWAIT, [SIGUSR1])
    sigaction_change(SIGTERM, SA_RESETHAND)
    sigaction(SIGUSR2, SigAction(1, 0, frozenset()))


def by_a_handler_that_resets_itself(_signals: Signals) -> None:
    sigaction_change(SIGTERM, SA_RESETHAND)
    os.kill(os.getpid(), SIGTERM)


@pytest.mark.parametrize(
    "change", [through_its_methods, behind_its_back, by_raw_flags, by_a_handler_that_resets_itself]
)
def test_every_disposition_and_the_mask_are_as_they_were(in_child, change):
    def life():
        signal.signal(SIGTERM, lambda *_: None)
        sigaction_change(SIGTERM, SA_RESTART, [SIGUSR1])
        signal.signal(SIGUSR2, SIG_IGN)
        signal.pthread_sigmask(SIG_BLOCK, [SIGUSR2])
        before = state()
        with Signals.create() as signals:
            change(signals)
            assert state() != before
        assert state() == before

    in_child(life)


def test_a_handler_that_python_did_not_install_is_put_back(in_child):
    def life():
        faulthandler.enable(2)
        before = sigaction_raw(SIGSEGV)
        with Signals.create() as signals:
            signals.catch(SIGSEGV)
            assert sigaction_raw(SIGSEGV) != before
        assert sigaction_raw(SIGSEGV) == before

    in_child(life)


@pytest.mark.parametrize("blocked", ["by the block", "behind its back"])
def test_signal_kept_pending_is_discarded(in_child, blocked):
    def life():
        with Signals.create() as signals:
            if blocked == "by the block":
                signals.block(SIGTERM, SIGRTMIN)
            else:
                signal.pthread_sigmask(SIG_BLOCK, [SIGTERM, SIGRTMIN])
            os.kill(os.getpid(), SIGTERM)
            for value in range(3):
                signals.queue(os.getpid(), SIGRTMIN, value)
        return sorted(signal.sigpending())

    assert in_child(life) == []


def test_earlier_pending_signal_stays_pending(in_child):
    def life():
        signal.pthread_sigmask(SIG_BLOCK, [SIGTERM])
        os.kill(os.getpid(), SIGTERM)
        with Signals.create() as signals:
            signals.block(SIGUSR1)
        return sorted(signal.sigpending())

    assert in_child(life) == [SIGTERM]


@pytest.mark.parametrize("change", ["none", "longer", "stopped", "shorter"])
def test_timer_continues_with_the_remaining_time(in_child, change):
    def life():
        signal.setitimer(ITIMER_REAL, 600, 7)
        with Signals.create() as signals:
            if change != "none":
                signals.ignore(SIGALRM, displace=True)
                signal.setitimer(ITIMER_REAL, {"longer": 6000, "stopped": 0, "shorter": 1}[change])
            start = time.monotonic()
            while time.monotonic() - start < 0.02:
                pass
        left, interval = signal.getitimer(ITIMER_REAL)
        assert 500 < left <= 600 - 0.02
        assert interval == 7

    in_child(life)


def test_unseen_expiry_of_a_timer_is_delivered_at_once(in_child):
    def life():
        seen = []
        signal.signal(SIGALRM, lambda *_: seen.append("limit"))
        signal.setitimer(ITIMER_REAL, 600)
        with Signals.create() as signals:
            caught = signals.catch(SIGALRM, displace=True)
            signal.setitimer(ITIMER_REAL, 1e-6)
            caught.wait()
            assert seen == []
            signals._state.taken -= 601  # so long ago
        while not seen:
            pass
        return seen

    assert in_child(life) == ["limit"]


def test_seen_expiry_of_a_timer_is_not_delivered_again(in_child):
    def life():
        seen = []
        signal.signal(SIGALRM, lambda *_: seen.append("limit"))
        signal.setitimer(ITIMER_REAL, 600)
        with Signals.create() as signals:
            signals.catch(SIGUSR1)
            signal.setitimer(ITIMER_REAL, 1e-6)
            while not seen:
                pass
            signals._state.taken -= 601  # so long ago
        return seen, signal.getitimer(ITIMER_REAL)

    assert in_child(life) == (["limit"], (0, 0))


def test_timers_that_the_block_set_are_stopped(in_child):
    def life():
        with Signals.create():
            for which in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF):
                signal.setitimer(which, 600, 600)
        return [signal.getitimer(which) for which in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF)]

    assert in_child(life) == [(0, 0)] * 3


@pytest.mark.parametrize("had_one", [True, False])
def test_the_wakeup_descriptor_is_put_back(in_child, had_one):
    def life():
        first, second = socket.socketpair()
        first.setblocking(False)
        second.setblocking(False)
        if had_one:
            signal.set_wakeup_fd(first.fileno())
        with Signals.create():
            signal.set_wakeup_fd(second.fileno())
        return signal.set_wakeup_fd(-1) == (first.fileno() if had_one else -1)

    assert in_child(life)


def test_closed_wakeup_descriptor_does_not_prevent_the_restore(in_child):
    def life():
        first, second = socket.socketpair()
        first.setblocking(False)
        second.setblocking(False)
        signal.set_wakeup_fd(first.fileno())
        signals = Signals.create()
        signals.block(SIGUSR1)
        signals.catch(SIGUSR2)
        signal.set_wakeup_fd(second.fileno())
        first.close()
        with pytest.raises((OSError, ValueError)):
            signals.close()
        return signal.getsignal(SIGUSR2), SIGUSR1 in signal.pthread_sigmask(SIG_BLOCK, ())

    assert in_child(life) == (SIG_DFL, False)
