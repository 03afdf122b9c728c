"""Signals: handled, blocked, queued and waited for, each in a child with its own signal state."""

from __future__ import annotations

import os
import signal
import threading
from signal import SIG_IGN, SIGALRM, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import Signals, scope
from pytest_ipc.kernel import (
    SA_NODEFER,
    SA_RESTART,
    SI_QUEUE,
    Deadline,
    SystemCall,
    numbers_of,
    process_syscall,
    sigaction,
    sigprocmask,
)


@pytest.fixture
def in_child(fork):
    """Run a function in a child of one thread; its result."""
    return lambda function, *args: fork(function, *args).result()


def test_a_caught_signal_is_counted_and_handed_on(in_child):
    def life():
        seen = []
        with Signals.create() as signals:
            caught = signals.catch(SIGUSR1, lambda signo, _frame: seen.append(signo))
            for count in (1, 2):
                signals.queue(os.getpid(), SIGUSR1)
                caught.wait(count)
            assert (caught.count, caught.received, seen) == (2, [SIGUSR1] * 2, [SIGUSR1] * 2)
            assert repr(caught) == "<SIGUSR1 caught 2 times>"
            with pytest.raises(
                TimeoutError, match="waited 0 s for SIGUSR1 to be handled 3 times; it was handled 2 times"
            ):
                caught.wait(3, timeout=0)

    in_child(life)


def test_flags_and_mask_are_exactly_those_given(signals):
    signals.catch(SIGUSR1, flags=SA_RESTART | SA_NODEFER, mask=[SIGUSR2])
    action = sigaction(SIGUSR1)
    assert (action.flags, *action.mask) == (SA_RESTART | SA_NODEFER, SIGUSR2)
    signals.catch(SIGUSR1)
    action = sigaction(SIGUSR1)
    assert (action.flags, *action.mask) == (0,)


def test_ignored_and_default_signals(in_child):
    def life(what):
        with Signals.create() as signals:
            getattr(signals, what)(SIGTERM)
            os.kill(os.getpid(), SIGTERM)
            return "alive"

    assert in_child(life, "ignore") == "alive"
    with pytest.raises(Exception, match="was killed by SIGTERM"):
        in_child(life, "default")


def test_a_blocked_signal_waits_and_is_taken_with_its_value(in_child):
    def life():
        with Signals.create() as signals:
            before = signals.block(SIGRTMIN, SIGUSR1)
            assert not before & {SIGRTMIN, SIGUSR1}
            signals.queue(os.getpid(), SIGRTMIN, 42)
            assert SIGRTMIN in signals.pending()
            info = signals.wait(SIGRTMIN, SIGUSR1)
            assert (info.signo, info.code, info.value, info.pid) == (SIGRTMIN, SI_QUEUE, 42, os.getpid())
            with pytest.raises(TimeoutError, match="waited 0 s for one of SIGRTMIN, SIGUSR1; pending of these: none"):
                signals.wait(SIGRTMIN, SIGUSR1, timeout=0)
            signals.queue(os.getpid(), SIGUSR1)
            assert signals.wait(SIGUSR1, timeout=None).signo == SIGUSR1

    in_child(life)


def signal_when_it_waits(pid: int, signo: int) -> None:
    def waits() -> bool:
        now = process_syscall(pid)
        return now is None or (isinstance(now, SystemCall) and now.number in numbers_of("sigtimedwait"))

    assert Deadline(30).until(waits)
    os.kill(pid, signo)


def test_signal_handler_does_not_end_a_wait(in_child):
    def life():
        with scope() as ipc:
            ipc.signals.catch(SIGUSR2, lambda *_: os.kill(os.getpid(), SIGUSR1))
            ipc.signals.block(SIGUSR1)
            other = ipc.fork(signal_when_it_waits, os.getpid(), SIGUSR2)
            signo = ipc.signals.wait(SIGUSR1).signo
            other.result()
            return signo

    assert in_child(life) == SIGUSR1


def test_unblocked_signals_come(in_child):
    def life():
        with Signals.create() as signals:
            caught = signals.catch(SIGUSR1)
            signals.block(SIGUSR1)
            os.kill(os.getpid(), SIGUSR1)
            assert caught.count == 0
            assert SIGUSR1 in signals.unblock(SIGUSR1)
            caught.wait()

    in_child(life)


def test_the_alarm_of_a_running_timer_is_not_taken_unasked(in_child):
    def life():
        signal.setitimer(signal.ITIMER_REAL, 600)
        with Signals.create() as signals:
            for change in (signals.catch, signals.ignore, signals.default, signals.block):
                with pytest.raises(ValueError, match="signal must not be SIGALRM while an interval timer runs"):
                    change(SIGALRM)
            assert sigprocmask(signal.SIG_BLOCK) & {SIGALRM} == set()
            for change in (signals.catch, signals.ignore, signals.block):
                change(SIGALRM, displace=True)
            assert signal.getsignal(SIGALRM) == SIG_IGN

    in_child(life)


def test_without_a_timer_the_alarm_is_a_signal_like_others(in_child):
    def life():
        with Signals.create() as signals:
            caught = signals.catch(SIGALRM)
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            caught.wait()
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)

    in_child(life)


def test_outside_the_main_thread_it_is_refused(in_child):
    def life():
        errors = []

        def make():
            try:
                Signals.create()
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return errors

    assert in_child(life) == ["signals can only be handled in the main thread of the main interpreter"]
