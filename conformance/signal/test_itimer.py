"""setitimer(2), alarm(2): the interval timers of a process, in children, as pytest may use its own for a time limit."""

from __future__ import annotations

import time
from errno import EINVAL
from signal import SIGALRM, SIGPROF, SIGVTALRM

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import (
    ITIMER_PROF,
    ITIMER_REAL,
    ITIMER_VIRTUAL,
    ItimerVal,
    Timeval,
    alarm,
    getitimer,
    pause,
    setitimer,
    sigpending,
    sigtimedwait,
)

from .plain_child import SOON, become_program, printed

NEVER = ItimerVal()
LONG = ItimerVal(Timeval(600), Timeval(7))
WHICH = pytest.mark.parametrize(
    ("which", "signo"),
    [(ITIMER_REAL, SIGALRM), (ITIMER_VIRTUAL, SIGVTALRM), (ITIMER_PROF, SIGPROF)],
    ids=["ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"],
)


@clause("setitimer.each-its-signal", "setitimer(2)", "DESCRIPTION")
@WHICH
def test_timer_sends_its_signal(fork, signals, which, signo):
    """ITIMER_REAL measures real time and sends SIGALRM; ITIMER_VIRTUAL and ITIMER_PROF measure CPU time and send
    SIGVTALRM and SIGPROF.
    """

    def life() -> frozenset[int]:
        signals.block(SIGALRM, SIGVTALRM, SIGPROF, displace=True)
        setitimer(which, ItimerVal(Timeval(0, 1000)))
        end = time.monotonic() + SOON
        while not sigpending() and time.monotonic() < end:
            pass
        return sigpending()

    assert fork(life).result() == {signo}


@clause("setitimer.not-early", "setitimer(2)", "DESCRIPTION")
def test_timer_does_not_expire_early(fork, signals):
    """SIGALRM of ITIMER_REAL is sent when the time has elapsed, and not earlier."""

    def life() -> int:
        signals.block(SIGALRM, displace=True)
        start = time.monotonic_ns()
        setitimer(ITIMER_REAL, ItimerVal(Timeval(0, 20_000)))
        sigtimedwait({SIGALRM}, SOON)
        return time.monotonic_ns() - start

    assert fork(life).result() >= 20_000_000


@clause("setitimer.interval-reloads", "setitimer(2)", "DESCRIPTION")
def test_interval_reloads_timer(fork, signals):
    """A timer with a nonzero it_interval is reset to it on expiration; a timer with a zero it_interval stops."""

    def life() -> tuple[ItimerVal, ItimerVal]:
        signals.block(SIGALRM, displace=True)
        setitimer(ITIMER_REAL, ItimerVal(Timeval(0, 1), Timeval(600)))
        sigtimedwait({SIGALRM}, SOON)
        again = getitimer(ITIMER_REAL)
        setitimer(ITIMER_REAL, ItimerVal(Timeval(0, 1)))
        sigtimedwait({SIGALRM}, SOON)
        return again, getitimer(ITIMER_REAL)

    again, once = fork(life).result()
    assert again.interval == Timeval(600)
    assert Timeval(500) < again.value <= Timeval(600)
    assert once == NEVER


@clause("setitimer.gives-old", "setitimer(2)", "DESCRIPTION")
@WHICH
def test_setitimer_returns_old_value(fork, which, signo):
    """setitimer() returns the previous value and interval, as getitimer() does; a zero value stops the timer."""

    def life() -> list[ItimerVal]:
        before = setitimer(which, LONG)
        armed = [getitimer(which), setitimer(which, NEVER)]
        return [before, *armed, getitimer(which)]

    before, asked, replaced, after = fork(life).result()
    assert (before, after) == (NEVER, NEVER)
    for found in (asked, replaced):
        assert found.interval == Timeval(7)
        assert Timeval(500) < found.value <= Timeval(601)
    assert signo


@clause("setitimer.unknown-timer-einval", "setitimer(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("which", [3, -1, 99])
def test_unknown_timer_fails(fork, which):
    """setitimer() and getitimer() fail with EINVAL for an unknown timer."""

    def life() -> None:
        with fails_with(EINVAL):
            setitimer(which, LONG)
        with fails_with(EINVAL):
            getitimer(which)

    fork(life).result()


@clause("setitimer.invalid-time-einval", "setitimer(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("wrong", [Timeval(1, 1_000_000), Timeval(1, -1)], ids=str)
@pytest.mark.parametrize("where", ["value", "interval"])
def test_invalid_time_fails(fork, wrong, where):
    """setitimer() fails with EINVAL if a tv_usec is outside 0 to 999,999, and does not change the timer."""

    def life() -> Timeval:
        setitimer(ITIMER_REAL, LONG)
        with fails_with(EINVAL):
            setitimer(ITIMER_REAL, ItimerVal(wrong) if where == "value" else ItimerVal(Timeval(1), wrong))
        return getitimer(ITIMER_REAL).interval

    assert fork(life).result() == Timeval(7)


@clause("alarm.replaces-and-tells", "alarm(2)", "RETURN VALUE")
def test_alarm_replaces_previous_alarm(fork):
    """alarm() replaces the previous alarm and returns its remaining seconds, or 0 if there was none; alarm(0)
    cancels it.
    """

    def life() -> list[int]:
        return [alarm(600), alarm(50), alarm(0), alarm(0)]

    none, first, second, cancelled = fork(life).result()
    assert (none, cancelled) == (0, 0)
    assert 500 < first <= 600
    assert 0 < second <= 50


@clause("alarm.sends-sigalrm", "alarm(2)", "DESCRIPTION")
def test_alarm_sends_sigalrm(fork):
    """alarm() sends SIGALRM, which by default terminates the process, after the given seconds and not earlier."""
    start = time.monotonic()

    def life() -> None:
        alarm(1)
        pause()

    assert fork(life).wait() == -SIGALRM
    assert time.monotonic() - start >= 1


@clause("alarm.shares-itimer_real", "alarm(2)", "NOTES")
def test_alarm_and_setitimer_share_timer(fork):
    """alarm() and ITIMER_REAL share one timer: each call replaces and returns what the other has set."""

    def life() -> tuple[ItimerVal, int, ItimerVal]:
        alarm(600)
        first = getitimer(ITIMER_REAL)
        setitimer(ITIMER_REAL, ItimerVal(Timeval(50)))
        return first, alarm(0), getitimer(ITIMER_REAL)

    first, left, after = fork(life).result()
    assert Timeval(500) < first.value <= Timeval(600)
    assert first.interval == Timeval()
    assert 0 < left <= 50
    assert after == NEVER


@clause("alarm.fork-none", "alarm(2)", "NOTES")
def test_fork_clears_timers(fork):
    """After fork() the child has no alarm and no interval timers; those of the parent continue."""

    def life() -> None:
        for which in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF):
            setitimer(which, LONG)

        def child() -> list[object]:
            return [*(getitimer(which) for which in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF)), alarm(0)]

        with Child.start(child) as other:
            assert other.result() == [NEVER, NEVER, NEVER, 0]
        for which in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF):
            assert getitimer(which).interval == Timeval(7)

    fork(life).result()


@clause("alarm.fork-exec", "alarm(2)", "NOTES")
def test_execve_keeps_timers(fork):
    """An alarm and the interval timers persist across execve() and continue to run."""
    source = (
        "import signal; print(*(int(500 < signal.getitimer(n)[0] <= 601) for n in range(3)), signal.alarm(0) > 500)"
    )

    def life() -> None:
        for which in (ITIMER_VIRTUAL, ITIMER_PROF):
            setitimer(which, LONG)
        alarm(600)
        become_program(source)

    assert printed(fork(life)) == "1 1 1 True"
