"""Signal objects besides dispositions: descriptors, timers, an alternate stack; all removed at the end."""

from __future__ import annotations

import os
import signal
import threading
from signal import ITIMER_REAL, ITIMER_VIRTUAL, SIGALRM, SIGRTMIN, SIGUSR1, SIGVTALRM

import pytest

from pytest_ipc import AlternateStack, Signals
from pytest_ipc.kernel import SA_ONSTACK, SI_QUEUE, SI_TIMER, open_descriptors, sigaltstack, timer_gettime


@pytest.fixture
def in_child(fork):
    """Run a function in a child of one thread; its result."""
    return lambda function, *args: fork(function, *args).result()


def test_signals_are_read_from_a_descriptor(in_child):
    def life():
        before = open_descriptors()
        with Signals.create() as signals:
            source = signals.fd(SIGUSR1, SIGRTMIN)
            with pytest.raises(
                TimeoutError, match=r"waited 0 s for a signal from <descriptor of signals, .*>; pending of these: none"
            ):
                source.read(timeout=0)
            signals.queue(os.getpid(), SIGRTMIN, 42)
            info = source.read()
            assert (info.signo, info.code, info.value, info.pid) == (SIGRTMIN, SI_QUEUE, 42, os.getpid())
            assert signals.descriptors() == [source.fd]
        assert open_descriptors() == before
        assert source.closed
        return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    assert in_child(life) == []


def test_a_timer_sends_its_signal(in_child):
    def life():
        with Signals.create() as signals:
            signals.block(SIGRTMIN)
            timer = signals.timer(SIGRTMIN, value=7)
            timer.set(1e-6)
            info = signals.wait(SIGRTMIN)
            assert (info.code, info.value, info.overrun, timer.overrun, timer.left) == (SI_TIMER, 7, 0, 0, 0)
            ahead = signals.timer(SIGRTMIN, thread=threading.get_native_id())
            ahead.set(600)
            number = ahead.id
        with pytest.raises(OSError, match="timer_gettime: Invalid argument"):
            timer_gettime(number)
        with pytest.raises(ValueError, match=f"<timer of signal {int(SIGRTMIN)}> is closed"):
            ahead.set(1)

    in_child(life)


def test_a_timer_without_a_signal_only_counts():
    with Signals.create() as signals:
        timer = signals.timer()
        assert timer.left == 0
        timer.set(600)
        assert 500 < timer.left <= 600
        assert repr(timer) == "<timer without a signal>"


def test_invalid_signal_number_is_rejected():
    with (
        Signals.create() as signals,
        pytest.raises(ValueError, match=r"from 1 to 64 \(SIGRTMAX\) that libc does not reserve, not 77"),
    ):
        signals.timer(77)


def test_a_handler_runs_on_the_alternate_stack_and_the_one_before_is_back(in_child):
    def life():
        before = sigaltstack()
        with Signals.create() as outer:
            first = outer.alternate_stack()
            with Signals.create() as inner:
                second = inner.alternate_stack()
                caught = inner.catch(SIGUSR1, flags=SA_ONSTACK)
                assert second.memory == bytes(second.size)
                os.kill(os.getpid(), SIGUSR1)
                caught.wait()
                assert (any(first.memory), any(second.memory)) == (False, True)
            assert sigaltstack().sp == first.address
        return sigaltstack() == before

    assert in_child(life)


def test_an_alternate_stack_set_behind_its_back_is_taken_away(in_child):
    def life():
        before = sigaltstack()
        with Signals.create():
            kept = AlternateStack.create()
            assert sigaltstack().sp == kept.address
        return sigaltstack() == before

    assert in_child(life)


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (1, OSError)])
def test_too_small_a_stack_is_refused(size, error):
    before = sigaltstack()
    with Signals.create() as signals, pytest.raises(error):
        signals.alternate_stack(size)
    assert sigaltstack() == before


def test_an_interval_timer_is_set_and_stopped(in_child):
    def life():
        with Signals.create() as signals:
            caught = signals.catch(SIGALRM)
            signals.itimer(0.001)
            caught.wait()
            signals.itimer(600)
            signals.ignore(SIGALRM)  # the timer is this block's own
            virtual = signals.catch(SIGVTALRM)
            signals.itimer(0.001, which=ITIMER_VIRTUAL)
            while not virtual.count:
                pass
        return signal.getitimer(ITIMER_REAL)

    assert in_child(life) == (0, 0)


def test_foreign_timer_is_not_replaced_by_default(in_child):
    def life():
        signal.setitimer(ITIMER_REAL, 600)
        with Signals.create() as signals:
            with pytest.raises(ValueError, match="displace=True"):
                signals.itimer(1)
            with pytest.raises(ValueError, match="displace=True"):
                signals.fd(SIGALRM)
            signals.itimer(6000, displace=True)
        return 500 < signal.getitimer(ITIMER_REAL)[0] <= 600

    assert in_child(life)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_invalid_interval_is_rejected(seconds):
    with Signals.create() as signals, pytest.raises(ValueError, match="must be non-negative numbers"):
        signals.itimer(seconds, which=ITIMER_VIRTUAL)


def test_closed_ones_are_refused():
    signals = Signals.create()
    signals.close()
    for use in (
        lambda: signals.timer(),
        lambda: signals.fd(SIGUSR1),
        lambda: signals.alternate_stack(),
        lambda: signals.itimer(1),
    ):
        with pytest.raises(ValueError, match="<Signals> is closed"):
            use()
