"""Timers with a descriptor: set, read, and refused what no timer can be set to."""

from __future__ import annotations

import math
import time

import pytest

from pytest_ipc import TimerFd
from pytest_ipc.kernel import ItimerSpec, Timespec


def test_it_runs_out_when_the_time_is_over_and_not_before():
    with TimerFd.create() as timer:
        start = time.monotonic()
        timer.set(0.02)
        assert timer.read() == 1
        assert time.monotonic() - start >= 0.02
        with pytest.raises(TimeoutError, match=r"waited 0 s for the end of the time of <timer, descriptor .*>; "):
            timer.read(timeout=0)


def test_an_interval_is_counted():
    with TimerFd.create() as timer:
        timer.set(1e-6, 1e-6)
        count = 0
        while count < 100:
            count += timer.read()


def test_a_moment_that_has_passed_is_now():
    with TimerFd.create(time.CLOCK_REALTIME) as timer:
        timer.set(1, absolute=True)
        assert timer.read() == 1


def test_settime_returns_the_old_setting_and_0_disarms():
    with TimerFd.create() as timer:
        assert timer.set(600, 7) == ItimerSpec()
        assert 500 < timer.left <= 600
        assert timer.set(0).interval == Timespec(7)
        assert timer.left == 0


def test_less_than_a_nanosecond_is_not_never():
    with TimerFd.create() as timer:
        timer.set(1e-12)
        assert timer.read() == 1


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_invalid_time_is_rejected(seconds, error):
    with TimerFd.create() as timer:
        timer.set(600)
        for wrong in ((seconds, 0), (1, seconds)):
            with pytest.raises(error, match="the time of a timer must be a"):
                timer.set(*wrong)
        assert timer.left > 500


def test_a_child_waits_for_the_same_time(fork, timerfd):
    timer = timerfd()
    child = fork(lambda: timer.read(timeout=None))
    child.wait_blocked("poll")
    timer.set(1e-6)
    assert child.result() == 1


def test_a_closed_one_is_refused():
    timer = TimerFd.create()
    timer.close()
    for use in (timer.fileno, timer.read, lambda: timer.left, lambda: timer.set(1)):
        with pytest.raises(ValueError, match="is closed"):
            use()


def test_an_unknown_clock_is_an_oserror():
    with pytest.raises(OSError, match="timerfd_create: Invalid argument"):
        TimerFd.create(99)
