"""timer_settime(2): arming and disarming a timer that sends signals, and the remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable
from errno import EINVAL
from signal import SIGUSR1
from time import CLOCK_MONOTONIC, CLOCK_REALTIME
from typing import Any

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import (
    SI_TIMER,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    TIMER_ABSTIME,
    ItimerSpec,
    Timespec,
    sigtimedwait,
    timer_create,
    timer_gettime,
    timer_settime,
)

from .plain_child import SOON

NEVER = ItimerSpec()
SOON_ENOUGH = ItimerSpec(Timespec(0, 1))
LONG = ItimerSpec(Timespec(600), Timespec(7))


@pytest.fixture
def quiet(fork, signals) -> Callable[..., Any]:
    """Run a function in a child with an armed timer and return its result: quiet(function, notify=SIGEV_SIGNAL)."""

    def run(function: Callable[[int], Any], notify: int = SIGEV_SIGNAL) -> Any:
        def life() -> Any:
            signals.block(SIGUSR1)
            timer = timer_create(CLOCK_MONOTONIC, notify, SIGUSR1)
            timer_settime(timer, LONG)
            return function(timer)

        return fork(life).result()

    return run


@clause("timer_settime.gives-old", "timer_settime(2)", "DESCRIPTION")
def test_settime_returns_old_setting(quiet):
    """timer_settime() returns the previous setting, the remaining time and the interval, as timer_gettime() does."""

    def life(timer: int) -> ItimerSpec:
        for old in (timer_gettime(timer), timer_settime(timer, NEVER)):
            assert old.interval == Timespec(7)
            assert Timespec(500) < old.value <= Timespec(600)
        return timer_settime(timer, NEVER)

    assert quiet(life) == NEVER


@clause("timer_settime.zero-disarms", "timer_settime(2)", "DESCRIPTION")
def test_zero_value_disarms(quiet):
    """timer_settime() with a zero it_value disarms the timer, whatever it_interval."""

    def life(timer: int) -> Timespec:
        timer_settime(timer, ItimerSpec(Timespec(), Timespec(5)))
        return timer_gettime(timer).value

    assert quiet(life) == Timespec()


@clause(
    "timer_settime.zero-disarms-none",
    "timer_settime(2)",
    "DESCRIPTION",
    disputed="a timer with SIGEV_NONE still returns the remaining time",
)
def test_zero_value_disarms_sigev_none_timer(quiet):
    """timer_settime() with a zero it_value disarms a timer with SIGEV_NONE: timer_gettime() returns 0."""

    def life(timer: int) -> Timespec:
        timer_settime(timer, NEVER)
        return timer_gettime(timer).value

    left = quiet(life, SIGEV_NONE)
    if left > Timespec(500):
        disputed("timer_gettime() returns 0", "still returns the time that remained when it was disarmed")
    assert left == Timespec()


@clause("timer_settime.abstime-past-at-once", "timer_settime(2)", "DESCRIPTION")
def test_absolute_time_in_past_expires_at_once(fork, signals):
    """timer_settime() with TIMER_ABSTIME takes an absolute time; the timer expires at once if that time has passed."""

    def life() -> int:
        signals.block(SIGUSR1)
        timer = timer_create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1)
        timer_settime(timer, ItimerSpec(Timespec(1)), TIMER_ABSTIME)
        return sigtimedwait({SIGUSR1}, SOON).code

    assert fork(life).result() == SI_TIMER


@clause("timer_settime.not-early", "timer_settime(2)", "DESCRIPTION")
def test_timer_does_not_expire_early(fork, signals):
    """A timer sends its signal when its time has elapsed, and not earlier."""

    def life() -> int:
        signals.block(SIGUSR1)
        timer, start = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1), time.monotonic_ns()
        timer_settime(timer, ItimerSpec(Timespec(0, 20_000_000)))
        sigtimedwait({SIGUSR1}, SOON)
        return time.monotonic_ns() - start

    assert fork(life).result() >= 20_000_000


@clause("timer_settime.invalid-time-einval", "timer_settime(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("wrong", [Timespec(-1), Timespec(1, -1), Timespec(1, 1_000_000_000)], ids=str)
def test_invalid_time_fails(quiet, wrong):
    """timer_settime() fails with EINVAL for a negative time or tv_nsec outside 0 to 999,999,999, and does not change
    the timer.
    """

    def life(timer: int) -> Timespec:
        with fails_with(EINVAL):
            timer_settime(timer, ItimerSpec(wrong))
        return timer_gettime(timer).interval

    assert quiet(life) == Timespec(7)
