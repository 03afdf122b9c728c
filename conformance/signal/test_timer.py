"""timer_create(2), timer_getoverrun(2), timer_delete(2): timers that send signals, their overruns and their
deletion."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from ctypes import addressof, c_long
from errno import EAGAIN, EINVAL
from signal import SIGALRM, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2
from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME

import pytest

from pytest_ipc import Child, Need, clause, disputed, fails_with, untested
from pytest_ipc.kernel import (
    SI_TIMER,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD_ID,
    TIMER_ABSTIME,
    ItimerSpec,
    Timespec,
    number_of,
    pause,
    sigpending,
    sigtimedwait,
    timer_create,
    timer_delete,
    timer_getoverrun,
    timer_gettime,
    timer_settime,
)
from pytest_ipc.kernel.libc import syscall

from .plain_child import SOON, become_program, in_thread, limit_pending, printed

NEVER = ItimerSpec()
SOON_ENOUGH = ItimerSpec(Timespec(0, 1))
LONG = ItimerSpec(Timespec(600), Timespec(7))


@clause("timer_create.does-not-run-yet", "timer_create(2)", "DESCRIPTION")
def test_new_timer_is_disarmed(fork):
    """A new timer is disarmed: timer_gettime() returns zeros, and its overrun count is 0."""

    def life() -> tuple[ItimerSpec, int]:
        timer = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1)
        return timer_gettime(timer), timer_getoverrun(timer)

    assert fork(life).result() == (NEVER, 0)


@clause("timer_create.signal-with-value", "timer_create(2)", "SIGEV_SIGNAL")
@pytest.mark.parametrize(
    "clock",
    [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID],
    ids=["CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME", "CLOCK_PROCESS_CPUTIME_ID"],
)
@pytest.mark.parametrize("signo", [SIGUSR1, SIGRTMIN], ids=["standard", "real-time"])
def test_timer_sends_its_signal(fork, signals, clock, signo):
    """When a timer expires, the process gets its signal with si_code SI_TIMER and the sigev_value of timer_create()."""

    def life() -> tuple[int, int, int, int]:
        signals.block(signo)
        timer = timer_create(clock, SIGEV_SIGNAL, signo, value=4711)
        timer_settime(timer, SOON_ENOUGH)
        end = time.monotonic() + SOON
        while signo not in sigpending() and time.monotonic() < end:
            pass  # busy, so that CLOCK_PROCESS_CPUTIME_ID advances
        info = sigtimedwait({signo}, 0)
        return info.signo, info.code, info.value, info.overrun

    assert fork(life).result() == (signo, SI_TIMER, 4711, 0)


@clause(
    "timer_create.null-is-sigalrm",
    "timer_create(2)",
    "DESCRIPTION",
    disputed="glibc sets the value to 0 for every timer",
)
def test_null_sigevent_sends_sigalrm_with_id(fork, signals):
    """timer_create() with a NULL sevp creates a timer that sends SIGALRM with the timer's ID as value."""

    def life() -> tuple[int, int, int]:
        signals.block(SIGALRM)
        timer_create(CLOCK_MONOTONIC, SIGEV_NONE)  # the first timer's id is 0, as is an unset value
        timer = timer_create(CLOCK_MONOTONIC)
        timer_settime(timer, SOON_ENOUGH)
        info = sigtimedwait({SIGALRM}, SOON)
        return info.code, info.value, timer

    code, value, timer = fork(life).result()
    assert code == SI_TIMER
    if value == 0 != timer:
        disputed(manual="the value is the timer's ID", linux="with glibc, returns 0")
    assert value == timer


@clause("timer_create.none-sends-nothing", "timer_create(2)", "SIGEV_NONE")
def test_sigev_none_sends_nothing(fork, signals):
    """A timer with SIGEV_NONE sends no signal; timer_gettime() shows its expiration."""

    def life() -> frozenset[int]:
        signals.block(SIGALRM, SIGUSR1)
        timer = timer_create(CLOCK_MONOTONIC, SIGEV_NONE, SIGUSR1)
        timer_settime(timer, ItimerSpec(Timespec(0, 1_000_000)))
        end = time.monotonic() + SOON
        while timer_gettime(timer) != NEVER and time.monotonic() < end:
            pass
        assert timer_gettime(timer) == NEVER
        return sigpending()

    assert fork(life).result() == set()


@clause("timer_create.thread_id-one-thread", "timer_create(2)", "SIGEV_THREAD_ID")
def test_sigev_thread_id_signals_one_thread(fork, signals):
    """A timer with SIGEV_THREAD_ID signals only the given thread of the process."""

    def life() -> frozenset[int]:
        signals.block(SIGUSR1)
        timer = timer_create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, tid=threading.get_native_id())
        timer_settime(timer, SOON_ENOUGH)
        end = time.monotonic() + SOON
        while not sigpending() and time.monotonic() < end:
            pass
        assert in_thread(sigpending) == set()
        return sigpending()

    assert fork(life).result() == {SIGUSR1}


@clause("timer_create.unknown-clock-einval", "timer_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("clock", [99, 15])
def test_unknown_clock_fails(clock):
    """timer_create() fails with EINVAL for an unknown clock."""
    with fails_with(EINVAL):
        timer_create(clock, SIGEV_NONE)


@clause("timer_create.unknown-notification-einval", "timer_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize(
    ("notify", "signo"),
    [(99, SIGUSR1), (SIGEV_SIGNAL, 99), (SIGEV_SIGNAL, -1), (SIGEV_THREAD_ID, SIGUSR1)],
    ids=["kind", "signal-too-large", "signal-negative", "thread-of-another-process"],
)
def test_invalid_notification_fails(fork, notify, signo):
    """timer_create() fails with EINVAL for an unknown sigev_notify, an invalid signal, or a thread of another
    process.
    """
    other = fork(pause)
    with fails_with(EINVAL):
        timer_create(CLOCK_MONOTONIC, notify, signo, tid=other.pid)


def late(timer: int) -> None:
    """Arm a timer so that it has expired six times, and expires next in some seconds."""
    passed = int(time.clock_gettime(CLOCK_MONOTONIC)) - 55
    if passed <= 0:
        untested(Need.TIME, "needs a machine that has run for a minute")
    timer_settime(timer, ItimerSpec(Timespec(passed), Timespec(10)), TIMER_ABSTIME)


@clause("timer_create.one-signal-at-a-time", "timer_getoverrun(2)", "DESCRIPTION")
def test_timer_queues_one_signal(fork, signals):
    """A timer has at most one signal queued, even a real-time signal, however often it has expired."""

    def life() -> None:
        signals.block(SIGRTMIN)
        late(timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN))
        assert sigtimedwait({SIGRTMIN}, SOON).code == SI_TIMER
        with fails_with(EAGAIN):
            sigtimedwait({SIGRTMIN}, 0)

    fork(life).result()


@clause("timer_getoverrun.counts", "timer_getoverrun(2)", "DESCRIPTION")
def test_overrun_is_counted(fork, signals):
    """timer_getoverrun() returns the number of further expirations before the signal was taken, as si_overrun does."""

    def life() -> tuple[int, int]:
        signals.block(SIGRTMIN)
        timer = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN)
        late(timer)
        return sigtimedwait({SIGRTMIN}, SOON).overrun, timer_getoverrun(timer)

    assert fork(life).result() == (5, 5)


@clause("timer_delete.gone", "timer_delete(2)", "ERRORS", errno=EINVAL)
def test_deleted_timer_is_gone(fork, signals):
    """timer_delete() disarms and deletes the timer: it sends no signal, and every call with its ID fails with
    EINVAL.
    """

    def life() -> frozenset[int]:
        signals.block(SIGUSR1, SIGUSR2)
        timer, moment = deleted_in_time()
        other = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2)
        timer_settime(other, ItimerSpec(Timespec(*divmod(moment + 1_000_000, 10**9))), TIMER_ABSTIME)
        sigtimedwait({SIGUSR2}, SOON)
        for use in (timer_gettime, timer_getoverrun, timer_delete, lambda gone: timer_settime(gone, LONG)):
            with fails_with(EINVAL):
                use(timer)
        return sigpending()

    def deleted_in_time() -> tuple[int, int]:
        """Return a timer that was deleted before its expiration, and the time of that expiration."""
        end = time.monotonic() + SOON
        while True:
            timer, moment = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1), time.monotonic_ns() + 50_000_000
            timer_settime(timer, ItimerSpec(Timespec(*divmod(moment, 10**9))), TIMER_ABSTIME)
            timer_delete(timer)
            if time.monotonic_ns() < moment:
                return timer, moment
            with suppress(BlockingIOError):
                sigtimedwait({SIGUSR1}, 0)
            if time.monotonic() > end:
                untested(Need.TIME, "needs a machine that goes on within 50 ms")

    assert fork(life).result() == set()


@clause("timer_create.not-inherited", "timer_create(2)", "NOTES")
def test_fork_does_not_inherit_timers(fork):
    """After fork() the child has none of the parent's timers; those of the parent continue."""

    def life() -> bool:
        timer = timer_create(CLOCK_MONOTONIC, SIGEV_NONE)
        timer_settime(timer, LONG)

        def child() -> None:
            with fails_with(EINVAL):
                timer_gettime(timer)

        with Child.start(child) as other:
            other.result()
        return timer_gettime(timer).value > Timespec()

    assert fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("exec.posix-timers-deleted", "execve(2)", "Effect on process attributes")
def test_execve_deletes_timers(fork):
    """execve() deletes the timers of the process."""
    source = """if True:
        import ctypes, sys
        number, timer = map(int, sys.argv[1:])
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall(ctypes.c_long(number), ctypes.c_long(timer), (ctypes.c_long * 4)()), ctypes.get_errno())
    """

    def life() -> None:
        timer, number = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGTERM), number_of("timer_gettime")
        timer_settime(timer, LONG)
        room = (c_long * 4)()
        syscall(number, timer, addressof(room))
        assert 500 < room[2] <= 600
        become_program(source, number, timer)

    assert printed(fork(life)) == f"-1 {EINVAL}"


@clause("timer_create.rlimit_sigpending-eagain", "getrlimit(2)", "RLIMIT_SIGPENDING", errno=EAGAIN)
def test_timer_counts_as_queued_signal(fork, signals):
    """timer_create() fails with EAGAIN if RLIMIT_SIGPENDING is reached, as each timer preallocates a queued signal."""

    def life() -> None:
        signals.block(SIGRTMIN)
        limit_pending(0)
        with fails_with(EAGAIN):
            timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN)

    fork(life).result()
