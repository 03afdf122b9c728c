"""timerfd_create(2): making a timer, arming it, and what reading and asking tell of it."""

from __future__ import annotations

import time
from errno import EAGAIN, EINVAL, ENOTTY
from select import POLLIN
from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME

import pytest

from pytest_ipc import clause, fails_with, untested
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
    """The moment of *clock* so many seconds ago, which it must have seen."""
    now = Timespec.of(time.clock_gettime(clock))
    if now.sec <= seconds:
        untested(f"needs a clock that has run for more than {seconds} s")
    return Timespec(now.sec - seconds, now.nsec)


@clause("timerfd.new-does-not-run", "timerfd_create(2)", "DESCRIPTION")
@CLOCKS
def test_a_new_timer_does_not_run(timerfd, ready, clock):
    """A new timer is not armed: no time is left, it has no interval, and it cannot be read."""
    timer = timerfd(clock)
    assert timerfd_gettime(timer.fd) == NEVER
    assert not ready(timer.fd) & POLLIN


@clause("timerfd.expires-not-early", "timerfd_create(2)", "DESCRIPTION")
@CLOCKS
def test_it_runs_out_after_the_time(timerfd, clock):
    """An armed timer runs out once its time has passed on its clock, and not before."""
    timer, start = timerfd(clock), time.clock_gettime_ns(clock)
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 20_000_000)))
    assert timer.read() == 1
    assert time.clock_gettime_ns(clock) - start >= 20_000_000


@clause("timerfd.once-without-interval", "timerfd_create(2)", "DESCRIPTION")
def test_without_an_interval_it_runs_out_once(timerfd):
    """A timer without an interval is disarmed once it has run out."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1)))
    assert timer.read() == 1
    assert timerfd_gettime(timer.fd) == NEVER
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.interval-repeats", "timerfd_create(2)", "DESCRIPTION")
def test_with_an_interval_it_goes_on(timerfd):
    """A timer with an interval runs out again and again, the interval apart."""
    timer, start = timerfd(), time.monotonic_ns()
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1), Timespec(0, 5_000_000)))
    count = 0
    while count < 4:
        count += timer.read()
    assert time.monotonic_ns() - start >= (count - 1) * 5_000_000
    assert timerfd_gettime(timer.fd).interval == Timespec(0, 5_000_000)


@clause("timerfd.read-counts", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_reading_tells_how_often(timerfd):
    """Reading gives the number of times that the timer has run out, and begins to count anew."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 55), Timespec(10)), TFD_TIMER_ABSTIME)
    assert timer.read() == 6
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.abstime-past-at-once", "timerfd_create(2)", "TFD_TIMER_ABSTIME")
@CLOCKS
def test_a_moment_that_has_passed_is_now(timerfd, clock):
    """With TFD_TIMER_ABSTIME the time is one of the clock; if the clock has passed it the timer runs out at once."""
    timer = timerfd(clock)
    timerfd_settime(timer.fd, ItimerSpec(ago(clock, 10)), TFD_TIMER_ABSTIME)
    assert timer.read() == 1


@clause("timerfd.abstime-to-come", "timerfd_create(2)", "TFD_TIMER_ABSTIME")
@CLOCKS
def test_a_moment_to_come_is_waited_for(timerfd, clock):
    """With TFD_TIMER_ABSTIME the timer runs out when its clock shows the time, and not before."""
    timer, moment = timerfd(clock), time.clock_gettime_ns(clock) + 20_000_000
    timerfd_settime(timer.fd, ItimerSpec(Timespec(*divmod(moment, 10**9))), TFD_TIMER_ABSTIME)
    assert timer.read() == 1
    assert time.clock_gettime_ns(clock) >= moment


@clause("timerfd.zero-disarms", "timerfd_create(2)", "DESCRIPTION")
def test_a_time_of_zero_disarms(timerfd):
    """Setting a timer to a time of zero disarms it, whatever the interval."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, LONG)
    timerfd_settime(timer.fd, ItimerSpec(Timespec(), Timespec(5)))
    assert timerfd_gettime(timer.fd).value == Timespec()
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.settime-gives-old", "timerfd_create(2)", "DESCRIPTION")
def test_setting_tells_what_stood(timerfd):
    """Setting a timer tells what it was set to: the time that was left, and the interval."""
    timer = timerfd()
    assert timerfd_settime(timer.fd, LONG) == NEVER
    old = timerfd_settime(timer.fd, ItimerSpec(Timespec(50)))
    assert old.interval == Timespec(7)
    assert Timespec(500) < old.value <= Timespec(600)
    old = timerfd_settime(timer.fd, NEVER)
    assert old.interval == Timespec()
    assert Timespec() < old.value <= Timespec(50)


@clause("timerfd.gettime-left", "timerfd_create(2)", "DESCRIPTION")
def test_asking_tells_what_is_left(timerfd):
    """Asking tells the time that is left, also of a timer that was set to a moment, and the interval; the timer runs on."""
    timer = timerfd()
    moment = Timespec(int(time.clock_gettime(CLOCK_MONOTONIC)) + 600)
    timerfd_settime(timer.fd, ItimerSpec(moment, Timespec(7, 8)), TFD_TIMER_ABSTIME)
    first, second = timerfd_gettime(timer.fd), timerfd_gettime(timer.fd)
    assert first.interval == second.interval == Timespec(7, 8)
    assert Timespec() < second.value <= first.value <= Timespec(600)


@clause("timerfd.settime-forgets-expirations", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_setting_forgets_what_was_not_read(timerfd, ready):
    """What a timer has run out before it was set anew is not counted any more."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 10)), TFD_TIMER_ABSTIME)
    assert ready(timer.fd) & POLLIN
    timerfd_settime(timer.fd, LONG)
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.read-eagain", "timerfd_create(2)", "Operating on a timer file descriptor", errno=EAGAIN)
def test_there_is_nothing_to_read_before_the_time(timerfd):
    """Reading a non-blocking timer that has not run out fails."""
    timer = timerfd(flags=TFD_NONBLOCK)
    timerfd_settime(timer.fd, LONG)
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.read-blocks", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_reading_waits_for_the_time(timerfd, fork):
    """Reading a timer waits until it has run out, also where it is armed only then."""
    timer = timerfd()
    reader = fork(timerfd_read, timer.fd)
    reader.wait_blocked("read")
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1)))
    assert reader.result() == 1


@clause("timerfd.short-read-einval", "timerfd_create(2)", "Operating on a timer file descriptor", errno=EINVAL)
@pytest.mark.parametrize("size", [0, 4, 7])
def test_less_than_eight_bytes_are_refused(timerfd, size):
    """Reading into fewer than eight bytes fails, and the count is kept."""
    timer = timerfd()
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 10)), TFD_TIMER_ABSTIME)
    with fails_with(EINVAL):
        read(timer.fd, size)
    assert timerfd_read(timer.fd) == 1


@clause("timerfd.poll-readable", "timerfd_create(2)", "Operating on a timer file descriptor")
def test_it_is_readable_once_it_has_run_out(timerfd, ready):
    """poll(2) says that a timer can be read once it has run out, until somebody has read it."""
    timer = timerfd()
    timerfd_settime(timer.fd, LONG)
    assert not ready(timer.fd) & POLLIN
    timerfd_settime(timer.fd, ItimerSpec(ago(CLOCK_MONOTONIC, 10)), TFD_TIMER_ABSTIME)
    assert ready(timer.fd) & POLLIN
    timer.read()
    assert not ready(timer.fd) & POLLIN


@clause("timerfd.fork-shares", "timerfd_create(2)", "fork(2) semantics")
def test_a_child_has_the_same_timer(timerfd, fork):
    """A child's descriptor stands for the same timer: it can set it, and what it has read its parent cannot read again."""
    timer = timerfd(flags=TFD_NONBLOCK)

    def life():
        timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1), Timespec(600)))
        return timer.read()

    assert fork(life).result() == 1
    assert timerfd_gettime(timer.fd).interval == Timespec(600)
    with fails_with(EAGAIN):
        timerfd_read(timer.fd)


@clause("timerfd.exec-preserved", "timerfd_create(2)", "execve(2) semantics")
def test_another_program_has_the_timer(timerfd, program):
    """A timer is kept when another program is executed, and runs on."""
    timer = timerfd(flags=0)
    source = "import os, sys; assert int.from_bytes(os.read(int(sys.argv[1]), 8), sys.byteorder) >= 1"
    timerfd_settime(timer.fd, ItimerSpec(Timespec(0, 1_000_000), Timespec(0, 1_000_000)))
    succeeded(program(source, timer.fd))


@clause("timerfd.set-ticks", "timerfd_create(2)", "TFD_IOC_SET_TICKS", since="3.17")
def test_the_count_can_be_set(timerfd, fork):
    """TFD_IOC_SET_TICKS sets how often the timer has run out, and wakes who waits for that; 0 is refused."""
    timer = timerfd()
    reader = fork(timerfd_read, timer.fd)
    reader.wait_blocked("read")
    try:
        timerfd_set_ticks(timer.fd, 42)
    except OSError as error:
        if error.errno != ENOTTY:
            raise
        untested("needs a kernel with CONFIG_CHECKPOINT_RESTORE")
    assert reader.result() == 42
    with fails_with(EINVAL):
        timerfd_set_ticks(timer.fd, 0)
