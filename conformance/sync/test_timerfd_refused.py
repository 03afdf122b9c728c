"""timerfd_create(2): the flags of a new timer, and errors of creating, setting and reading a timer."""

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
def test_unknown_clock_fails(clock):
    """timerfd_create() fails with EINVAL for an unsupported clock, and opens no descriptor."""
    before = open_descriptors()
    with fails_with(EINVAL):
        timerfd_create(clock)
    assert open_descriptors() == before


@clause("timerfd.unknown-flag-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flag", [1, 2, 0x4000_0000])
def test_unknown_flag_fails(flag):
    """timerfd_create() fails with EINVAL for an unknown flag, alone or with known flags, and opens no descriptor."""
    before = open_descriptors()
    for flags in (flag, flag | TFD_CLOEXEC | TFD_NONBLOCK):
        with fails_with(EINVAL):
            timerfd_create(CLOCK_MONOTONIC, flags)
    assert open_descriptors() == before


@clause("timerfd.cloexec-nonblock", "timerfd_create(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, TFD_CLOEXEC, TFD_NONBLOCK, TFD_CLOEXEC | TFD_NONBLOCK])
def test_flags_set_cloexec_and_nonblock(timerfd, flags):
    """TFD_CLOEXEC sets close-on-exec and TFD_NONBLOCK sets O_NONBLOCK on the descriptor; without them neither is
    set.
    """
    timer = timerfd(flags=flags)
    assert os.get_inheritable(timer.fd) == (not flags & TFD_CLOEXEC)
    assert os.get_blocking(timer.fd) == (not flags & TFD_NONBLOCK)


@clause("timerfd.alarm-clock-eperm", "timerfd_create(2)", "ERRORS", errno=EPERM)
@pytest.mark.parametrize("clock", [CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM], ids=["REALTIME", "BOOTTIME"])
def test_alarm_clock_needs_privilege(as_user, clock):
    """timerfd_create() with an alarm clock fails with EPERM without CAP_WAKE_ALARM."""

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
def test_invalid_time_fails(timerfd, wrong):
    """timerfd_settime() fails with EINVAL for a negative time or tv_nsec outside 0 to 999,999,999, and does not
    change the timer.
    """
    timer = timerfd()
    timerfd_settime(timer.fd, LONG)
    with fails_with(EINVAL):
        timerfd_settime(timer.fd, wrong)
    assert timerfd_gettime(timer.fd).interval == Timespec(7)


@clause("timerfd.settime-unknown-flag-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
def test_unknown_settime_flag_fails(timerfd):
    """timerfd_settime() fails with EINVAL for an unknown flag, and does not change the timer."""
    timer = timerfd()
    timerfd_settime(timer.fd, LONG)
    for flags in (4, 4 | TFD_TIMER_ABSTIME, 0x4000_0000):
        with fails_with(EINVAL):
            timerfd_settime(timer.fd, NEVER, flags)
    assert timerfd_gettime(timer.fd).interval == Timespec(7)


@clause("timerfd.not-a-timer-einval", "timerfd_create(2)", "ERRORS", errno=EINVAL)
def test_other_descriptor_fails(pipe):
    """timerfd_settime() and timerfd_gettime() fail with EINVAL for a descriptor that does not refer to a timer."""
    channel = pipe()
    with fails_with(EINVAL):
        timerfd_settime(channel.read_fd, LONG)
    with fails_with(EINVAL):
        timerfd_gettime(channel.read_fd)


@clause("timerfd.closed-ebadf", "timerfd_create(2)", "ERRORS", errno=EBADF)
def test_invalid_descriptor_fails():
    """timerfd_settime() and timerfd_gettime() fail with EBADF for an invalid descriptor."""
    with fails_with(EBADF):
        timerfd_settime(-1, LONG)
    with fails_with(EBADF):
        timerfd_gettime(-1)
