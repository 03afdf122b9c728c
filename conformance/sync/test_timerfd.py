"""timerfd_create(2): creating and arming a timer, reading it, and its current setting."""

from __future__ import annotations

import time
from errno import EAGAIN, EINVAL, ENOTTY
from select import POLLIN
from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    TFD_NONBLOCK,
    TFD_TIMER_ABSTIME,
    ItimerSpec,
    Timespec,
    read,
    timerfd_gettime,
    timerfd_read,
    timerfd_set_ticks,
    timerfd_settime,
)

from ..conftest import succeeded

NEVER = ItimerSpec()
LONG = ItimerSpec(Timespec(600), Timespec(7))
CLOCKS = pytest.mark.parametrize(
    "clock",
    [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME],
    ids=["CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME"],
)


def ago(clock: int, seconds: int) -> Timespec:
    """Return the time of *clock* this many seconds ago; report untested if the clock has not run so long."""
    now = Timespec.of(time.clock_gettime(clock))
    if now.sec <= seconds:
        untested(Need.TIME, f"needs a clock that has run for more than {seconds} s")
    return Timespec(now.sec - seconds, now.nsec)


@clause("timerfd.new-does-not-run", "timerfd_create(2)", "DESCRIPTION")
@CLOCKS
def test_new_timer_is_disarmed(timerfd, ready, clock):
    """A new timer is disarmed: timerfd_gettime() returns zeros, and the timer is not readable."""
    timer = timerfd(clock)
    assert timerfd_gettime(timer.fd) == NEVER
    assert not ready(timer.fd) & POLLIN


@clause("timerfd.expires-not-early", "timerfd_create(2)", "DESCRIPTION")
@CLOCKS
def test_timer_expires_after_its_time(timerfd, clock):
    """An armed timer expires when its time has elapsed on its clock, and not earlier."""
    timer, start = timerfd(clock), time.clock_gettime_ns(clock)
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 20_000_000)))
    assert timer.read() == 1
    assert time.clock_gettime_ns(clock) - start >= 20_000_000


@clause("timerfd.once-without-interval", "timerfd_create(2)", "DESCRIPTION")
def test_timer_without_interval_expires_once(timerfd):
    """A timer with a zero it_interval expires once and is then disarmed."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1)))
    assert timer.read() == 1
    assert timerfd_gettime(timer.fd) == NEVER
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.interval-repeats", "timerfd_create(2)", "DESCRIPTION")
def test_timer_with_interval_repeats(timerfd):
    """A timer with a nonzero it_interval expires repeatedly, at that interval."""
    timer, start = timerfd(), time.monotonic_ns()
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1), Timespec(0, 5_000_000)))
    count = 0
    while count < 4:
        count += timer.read()
    assert time.monotonic_ns() - start >= (count - 1) * 5_000_000
    assert timerfd_gettime(timer.fd).interval == Timespec(0, 5_000_000)


@clause("timerfd.read-counts", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_read_returns_number_of_expirations(timerfd):
    """read() of a timerfd returns the number of expirations since the last read() and resets it to 0."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 55), Timespec(10)), TFD_TIMER_ABSTIME)
    assert timer.read() == 6
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.abstime-past-at-once", "timerfd_create(2)", "TFD_TIMER_ABSTIME")
@CLOCKS
def test_absolute_time_in_past_expires_at_once(timerfd, clock):
    """timerfd_settime() with TFD_TIMER_ABSTIME takes an absolute time; the timer expires at once if that time has
    passed.
    """
    timer = timerfd(clock)
    timerfd_settime(timer.fd, ItimerSpec(ago(clock, 10)), TFD_TIMER_ABSTIME)
    assert timer.read() == 1


@clause("timerfd.abstime-to-come", "timerfd_create(2)", "TFD_TIMER_ABSTIME")
@CLOCKS
def test_absolute_time_in_future_is_waited_for(timerfd, clock):
    """A timer set with TFD_TIMER_ABSTIME expires when its clock reaches the absolute time, and not earlier."""
    timer, moment = timerfd(clock), time.clock_gettime_ns(clock) + 20_000_000
    timerfd_settime(timer.fd, ItimerSpec(Timespec(*divmod(moment, 10**9))), TFD_TIMER_ABSTIME)
    assert timer.read() == 1
    assert time.clock_gettime_ns(clock) >= moment


@clause("timerfd.zero-disarms", "timerfd_create(2)", "DESCRIPTION")
def test_zero_value_disarms(timerfd):
    """timerfd_settime() with a zero it_value disarms the timer, whatever it_interval."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, LONG)
    timerfd_settime(timer.fd, ItimerSpec(Timespec(), Timespec(5)))
    assert timerfd_gettime(timer.fd).value == Timespec()
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.settime-gives-old", "timerfd_create(2)", "DESCRIPTION")
def test_settime_returns_old_setting(timerfd):
    """timerfd_settime() returns the previous setting of the timer: the remaining time and the interval."""
    timer = timerfd()
    assert timerfd_settime(timer.fd, LONG) == NEVER
    old = timerfd_settime(timer.fd, ItimerSpec(Timespec(50)))
    assert old.interval == Timespec(7)
    assert Timespec(500) < old.value <= Timespec(600)
    old = timerfd_settime(timer.fd, NEVER)
    assert old.interval == Timespec()
    assert Timespec() < old.value <= Timespec(50)


@clause("timerfd.gettime-left", "timerfd_create(2)", "DESCRIPTION")
def test_gettime_returns_remaining_time(timerfd):
    """timerfd_gettime() returns the interval and the remaining time, which is relative even after TFD_TIMER_ABSTIME."""
    timer = timerfd()
    moment = Timespec(int(time.clock_gettime(CLOCK_MONOTONIC)) + 600)
    timerfd_settime(timer.fd, ItimerSpec(moment, Timespec(7, 8)), TFD_TIMER_ABSTIME)
    first, second = timerfd_gettime(timer.fd), timerfd_gettime(timer.fd)
    assert first.interval == second.interval == Timespec(7, 8)
    assert Timespec() < second.value <= first.value <= Timespec(600)


@clause("timerfd.settime-forgets-expirations", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_settime_resets_expirations(timerfd, ready):
    """timerfd_settime() resets the number of expirations that have not been read."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 10)), TFD_TIMER_ABSTIME)
    assert ready(timer.fd) & POLLIN
    timerfd_settime(timer.fd, LONG)
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.read-eagain", "timerfd_create(2)", "Operating on a timer file descriptor", errno=EAGAIN)
def test_read_before_expiration_nonblocking_fails(timerfd):
    """read() of a nonblocking timerfd fails with EAGAIN if the timer has not expired."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, LONG)
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.read-blocks", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_read_waits_for_expiration(timerfd, fork):
    """read() of a timerfd waits until the timer expires, even if the timer is armed during the wait."""
    timer = timerfd()
    reader = fork(timerfd_read, timer.fd)
    reader.wait_blocked("read")
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1)))
    assert reader.result() == 1


@clause("timerfd.short-read-einval", "timerfd_create(2)", "Operating on a timer file descriptor", errno=EINVAL)
@pytest.mark.parametrize("size", [0, 4, 7])
def test_read_of_fewer_than_eight_bytes_fails(timerfd, size):
    """read() of fewer than 8 bytes from a timerfd fails with EINVAL and keeps the number of expirations."""
    timer = timerfd()
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 10)), TFD_TIMER_ABSTIME)
    with fails_with(EINVAL):
        read(timer.fd, size)
    assert timerfd_read(timer.fd) == 1


@clause("timerfd.poll-readable", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_poll_reports_pollin_after_expiration(timerfd, ready):
    """poll() reports POLLIN for a timerfd after an expiration, until it is read."""
    timer = timerfd()
    timerfd_settime(timer.fd, LONG)
    assert not ready(timer.fd) & POLLIN
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 10)), TFD_TIMER_ABSTIME)
    assert ready(timer.fd) & POLLIN
    timer.read()
    assert not ready(timer.fd) & POLLIN


@clause("timerfd.fork-shares", "timerfd_create(2)", "fork(2) semantics")
def test_fork_shares_timer(timerfd, fork):
    """After fork() the child's descriptor refers to the same timer: it can set the timer, and expirations it reads
    are gone for the parent.
    """
    timer = timerfd(flags=TFD_NONBLOCK)

    def life():
        timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1), Timespec(600)))
        return timer.read()

    assert fork(life).result() == 1
    assert timerfd_gettime(timer.fd).interval == Timespec(600)
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.exec-preserved", "timerfd_create(2)", "execve(2) semantics")
def test_execve_keeps_timer(timerfd, program):
    """A timerfd stays open across execve(), and the timer continues to run."""
    timer = timerfd(flags=0)
    source = "import os, sys; assert int.from_bytes(os.read(int(sys.argv[1]), 8), sys.byteorder) >= 1"
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1_000_000), Timespec(0, 1_000_000)))
    succeeded(program(source, timer.fd))


@clause("timerfd.set-ticks", "timerfd_create(2)", "TFD_IOC_SET_TICKS", since="3.17")
def test_set_ticks_sets_expirations(timerfd, fork):
    """TFD_IOC_SET_TICKS sets the number of expirations and wakes a waiting reader; it fails with EINVAL for 0."""
    timer = timerfd()
    reader = fork(timerfd_read, timer.fd)
    reader.wait_blocked("read")
    try:
        timerfd_set_ticks(timer.fd, 42)
    except OSError as error:
        if error.errno != ENOTTY:
            raise
        untested(Need.NEWER_KERNEL, "needs a kernel with CONFIG_CHECKPOINT_RESTORE")
    assert reader.result() == 42
    with fails_with(EINVAL):
        timerfd_set_ticks(timer.fd, 0)
