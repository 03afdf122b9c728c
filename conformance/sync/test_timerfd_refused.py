"""timerfd_create(2): the flags of a new timer, and what is refused when one is made, set or asked."""

from __future__ import annotations

import os
import time
from errno import EBADF, EINVAL, EPERM
from time import CLOCK_MONOTONIC

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    CLOCK_BOOTTIME_ALARM,
    CLOCK_REALTIME_ALARM,
    TFD_CLOEXEC,
    TFD_NONBLOCK,
    TFD_TIMER_ABSTIME,
    ItimerSpec,
    Timespec,
    open_descriptors,
    timerfd_create,
    timerfd_gettime,
    timerfd_settime,
)

from ..credentials import GROUP, STRANGER

NEVER = ItimerSpec()
LONG = ItimerSpec(Timespec(600), Timespec(7))


@clause("timerfd.unknown-clock-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("clock", [time.CLOCK_PROCESS_CPUTIME_ID, 99, -1])
def test_an_unknown_clock_is_refused(clock):
    """A clock that the call does not know is refused, and nothing is opened."""
    before = open_descriptors()
    with fails_with(EINVAL):
        timerfd_create(clock)
    assert open_descriptors() == before


@clause("timerfd.unknown-flag-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flag", [1, 2, 0x4000_0000])
def test_an_unknown_flag_is_refused(flag):
    """A flag that timerfd_create(2) does not know is refused, alone and beside those that it knows, and nothing is opened."""
    before = open_descriptors()
    for flags in (flag, flag | TFD_CLOEXEC | TFD_NONBLOCK):
        with fails_with(EINVAL):
            timerfd_create(CLOCK_MONOTONIC, flags)
    assert open_descriptors() == before


@clause("timerfd.cloexec-nonblock", "timerfd_create(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, TFD_CLOEXEC, TFD_NONBLOCK, TFD_CLOEXEC | TFD_NONBLOCK])
def test_the_flags_are_the_descriptors(timerfd, flags):
    """TFD_CLOEXEC marks the descriptor close-on-exec and TFD_NONBLOCK makes it non-blocking; without them it is neither."""
    timer = timerfd(flags=flags)
    assert os.get_inheritable(timer.fd) == (not flags & TFD_CLOEXEC)
    assert os.get_blocking(timer.fd) == (not flags & TFD_NONBLOCK)


@clause("timerfd.alarm-clock-eperm", "timerfd_create(2)", "ERRORS", errno=EPERM)
@pytest.mark.parametrize("clock", [CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM], ids=["REALTIME", "BOOTTIME"])
def test_waking_the_machine_needs_a_privilege(as_user, clock):
    """A timer of a clock that wakes the machine is refused to a process without CAP_WAKE_ALARM."""

    def ask() -> None:
        with fails_with(EPERM):
            timerfd_create(clock)

    as_user(STRANGER, GROUP, ask)


WRONG = pytest.mark.parametrize(
    "wrong",
    [
        ItimerSpec(Timespec(1, 1_000_000_000)),
        ItimerSpec(Timespec(1, -1)),
        ItimerSpec(Timespec(-1)),
        ItimerSpec(Timespec(1), Timespec(1, 1_000_000_000)),
        ItimerSpec(Timespec(1), Timespec(1, -1)),
    ],
    ids=["value-too-large", "value-negative", "seconds-negative", "interval-too-large", "interval-negative"],
)


@clause("timerfd.settime-invalid-time-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
@WRONG
def test_an_invalid_time_is_refused(timerfd, wrong):
    """A time below zero, or with nanoseconds outside 0 to 999,999,999, is refused, and the timer runs on as it was."""
    timer = timerfd()
    timerfd_settime(timer.fd, LONG)
    with fails_with(EINVAL):
        timerfd_settime(timer.fd, wrong)
    assert timerfd_gettime(timer.fd).interval == Timespec(7)


@clause("timerfd.settime-unknown-flag-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
def test_an_unknown_flag_to_set_is_refused(timerfd):
    """A flag that timerfd_settime(2) does not know is refused, and the timer runs on as it was."""
    timer = timerfd()
    timerfd_settime(timer.fd, LONG)
    for flags in (4, 4 | TFD_TIMER_ABSTIME, 0x4000_0000):
        with fails_with(EINVAL):
            timerfd_settime(timer.fd, NEVER, flags)
    assert timerfd_gettime(timer.fd).interval == Timespec(7)


@clause("timerfd.not-a-timer-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
def test_another_descriptor_is_refused(pipe):
    """A descriptor of something else is no timer to set or to ask."""
    channel = pipe()
    with fails_with(EINVAL):
        timerfd_settime(channel.read_fd, LONG)
    with fails_with(EINVAL):
        timerfd_gettime(channel.read_fd)


@clause("timerfd.closed-ebadf", "timerfd_create(2)", "ERRORS", errno=EBADF)
def test_no_descriptor_is_refused():
    """A number that is no descriptor is no timer to set or to ask."""
    with fails_with(EBADF):
        timerfd_settime(-1, LONG)
    with fails_with(EBADF):
        timerfd_gettime(-1)
