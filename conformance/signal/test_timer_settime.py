"""timer_settime(2): arming a timer that sends signals, disarming it, and what is left."""

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
    """What a function makes of a timer that has not run out, in a child: quiet(function, notify=SIGEV_SIGNAL)."""

    def run(function: Callable[[int], Any], notify: int = SIGEV_SIGNAL) -> Any:
        def life() -> Any:
            signals.block(SIGUSR1)
            timer = timer_create(CLOCK_MONOTONIC, notify, SIGUSR1)
            timer_settime(timer, LONG)
            return function(timer)

        return fork(life).result()

    return run


@clause("timer_settime.gives-old", "timer_settime(2)", "DESCRIPTION")
def test_setting_tells_what_stood(quiet):
    """Setting a timer tells what it was set to: the time that was left, and the interval; asking tells the same."""

    def life(timer: int) -> ItimerSpec:
        for told in (timer_gettime(timer), timer_settime(timer, NEVER)):
            assert told.interval == Timespec(7)
            assert Timespec(500) < told.value <= Timespec(600)
        return timer_settime(timer, NEVER)

    assert quiet(life) == NEVER


@clause("timer_settime.zero-disarms", "timer_settime(2)", "DESCRIPTION")
def test_a_time_of_zero_disarms(quiet):
    """Setting a timer to a time of zero disarms it, whatever the interval."""

    def life(timer: int) -> Timespec:
        timer_settime(timer, ItimerSpec(Timespec(), Timespec(5)))
        return timer_gettime(timer).value

    assert quiet(life) == Timespec()


@clause(
    "timer_settime.zero-disarms-none",
    "timer_settime(2)",
    "DESCRIPTION",
    disputed="one that sends nothing goes on telling the time that was left",
)
def test_a_time_of_zero_disarms_a_timer_without_a_signal(quiet):
    """Setting a timer with SIGEV_NONE to a time of zero disarms it: no time is left."""

    def life(timer: int) -> Timespec:
        timer_settime(timer, NEVER)
        return timer_gettime(timer).value

    left = quiet(life, SIGEV_NONE)
    if left > Timespec(500):
        disputed("that no time is left", "goes on telling the time that was left when it was disarmed")
    assert left == Timespec()


@clause("timer_settime.abstime-past-at-once", "timer_settime(2)", "DESCRIPTION")
def test_a_moment_that_has_passed_is_now(fork, signals):
    """With TIMER_ABSTIME the time is one of the clock; if the clock has passed it the timer runs out at once."""

    def life() -> int:
        signals.block(SIGUSR1)
        timer = timer_create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1)
        timer_settime(timer, ItimerSpec(Timespec(1)), TIMER_ABSTIME)
        return sigtimedwait({SIGUSR1}, SOON).code

    assert fork(life).result() == SI_TIMER


@clause("timer_settime.not-early", "timer_settime(2)", "DESCRIPTION")
def test_a_timer_runs_out_after_the_time(fork, signals):
    """A timer's signal comes once the time has passed, and not before."""

    def life() -> int:
        signals.block(SIGUSR1)
        timer, start = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1), time.monotonic_ns()
        timer_settime(timer, ItimerSpec(Timespec(0, 20_000_000)))
        sigtimedwait({SIGUSR1}, SOON)
        return time.monotonic_ns() - start

    assert fork(life).result() >= 20_000_000


@clause("timer_settime.invalid-time-einval", "timer_settime(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("wrong", [Timespec(-1), Timespec(1, -1), Timespec(1, 1_000_000_000)], ids=str)
def test_an_invalid_time_is_refused(quiet, wrong):
    """A time below zero, or with nanoseconds outside 0 to 999,999,999, is refused, and the timer runs on as it was."""

    def life(timer: int) -> Timespec:
        with fails_with(EINVAL):
            timer_settime(timer, ItimerSpec(wrong))
        return timer_gettime(timer).interval

    assert quiet(life) == Timespec(7)
