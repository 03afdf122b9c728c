"""timer_create(2), timer_getoverrun(2), timer_delete(2): timers that send signals, what they count, and their end."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from ctypes import addressof, c_long
from errno import EAGAIN, EINVAL
from signal import SIGALRM, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2
from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME

import pytest

from pytest_ipc import Child, clause, disputed, fails_with, untested
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
def test_a_new_timer_does_not_run(fork):
    """A new timer is not armed: no time is left, it has no interval, and it has not overrun."""

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
def test_a_timer_sends_its_signal(fork, signals, clock, signo):
    """When a timer runs out the process gets its signal, with the code SI_TIMER and the value that the timer was made with."""

    def life() -> tuple[int, int, int, int]:
        signals.block(signo)
        timer = timer_create(clock, SIGEV_SIGNAL, signo, value=4711)
        timer_settime(timer, SOON_ENOUGH)
        end = time.monotonic() + SOON
        while signo not in sigpending() and time.monotonic() < end:
            pass  # this is what CLOCK_PROCESS_CPUTIME_ID counts
        info = sigtimedwait({signo}, 0)
        return info.signo, info.code, info.value, info.overrun

    assert fork(life).result() == (signo, SI_TIMER, 4711, 0)


@clause(
    "timer_create.null-is-sigalrm",
    "timer_create(2)",
    "DESCRIPTION",
    disputed="glibc sets the value to 0, whichever timer it is",
)
def test_without_a_structure_it_is_sigalrm(fork, signals):
    """A timer that was made without a structure sends SIGALRM, with its own id for a value."""

    def life() -> tuple[int, int, int]:
        signals.block(SIGALRM)
        timer_create(CLOCK_MONOTONIC, SIGEV_NONE)  # the first one's id is 0, as is a value that nobody has set
        timer = timer_create(CLOCK_MONOTONIC)
        timer_settime(timer, SOON_ENOUGH)
        info = sigtimedwait({SIGALRM}, SOON)
        return info.code, info.value, timer

    code, value, timer = fork(life).result()
    assert code == SI_TIMER
    if value == 0 != timer:
        disputed(manual="that the value is the timer's id", linux="with its glibc gives 0")
    assert value == timer


@clause("timer_create.none-sends-nothing", "timer_create(2)", "SIGEV_NONE")
def test_a_timer_may_send_nothing(fork, signals):
    """A timer with SIGEV_NONE sends no signal; that it has run out is seen by asking."""

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
def test_a_timer_signals_one_thread(fork, signals):
    """With SIGEV_THREAD_ID the signal is for that thread of the process alone, and no other can take it."""

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
def test_an_unknown_clock_is_refused(clock):
    """A clock that does not exist is refused."""
    with fails_with(EINVAL):
        timer_create(clock, SIGEV_NONE)


@clause("timer_create.unknown-notification-einval", "timer_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize(
    ("notify", "signo"),
    [(99, SIGUSR1), (SIGEV_SIGNAL, 99), (SIGEV_SIGNAL, -1), (SIGEV_THREAD_ID, SIGUSR1)],
    ids=["kind", "signal-too-large", "signal-negative", "thread-of-another-process"],
)
def test_an_unknown_notification_is_refused(fork, notify, signo):
    """A kind of notification, a signal or a thread of the process that does not exist is refused."""
    other = fork(pause)
    with fails_with(EINVAL):
        timer_create(CLOCK_MONOTONIC, notify, signo, tid=other.pid)


def late(timer: int) -> None:
    """Set a timer so that it has run out six times, and will next in some seconds."""
    passed = int(time.clock_gettime(CLOCK_MONOTONIC)) - 55
    if passed <= 0:
        untested("needs a machine that has run for a minute")
    timer_settime(timer, ItimerSpec(Timespec(passed), Timespec(10)), TIMER_ABSTIME)


@clause("timer_create.one-signal-at-a-time", "timer_getoverrun(2)", "DESCRIPTION")
def test_a_timer_has_one_signal_pending(fork, signals):
    """However often a timer has run out, also of a real-time signal only one pends for it."""

    def life() -> None:
        signals.block(SIGRTMIN)
        late(timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN))
        assert sigtimedwait({SIGRTMIN}, SOON).code == SI_TIMER
        with fails_with(EAGAIN):
            sigtimedwait({SIGRTMIN}, 0)

    fork(life).result()


@clause("timer_getoverrun.counts", "timer_getoverrun(2)", "DESCRIPTION")
def test_the_overrun_is_counted(fork, signals):
    """timer_getoverrun(2) is how often the timer has run out again before its signal was taken, as the signal says too."""

    def life() -> tuple[int, int]:
        signals.block(SIGRTMIN)
        timer = timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN)
        late(timer)
        return sigtimedwait({SIGRTMIN}, SOON).overrun, timer_getoverrun(timer)

    assert fork(life).result() == (5, 5)


@clause("timer_delete.gone", "timer_delete(2)", "ERRORS", errno=EINVAL)
def test_a_deleted_timer_is_gone(fork, signals):
    """A timer that was deleted sends nothing any more, and cannot be set, asked or deleted again."""

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
        """A timer that was deleted before it could run out, and when it would have."""
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
                untested("needs a machine that goes on within 50 ms")

    assert fork(life).result() == set()


@clause("timer_create.not-inherited", "timer_create(2)", "NOTES")
def test_a_child_has_no_timer(fork):
    """A child has none of its parent's timers, which run on in the parent."""

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


@pytest.mark.usefixtures("room_for_signals")
@clause("exec.posix-timers-deleted", "execve(2)", "Effect on process attributes")
def test_another_program_has_no_timer(fork):
    """A timer is deleted when another program is executed: it is not known there."""
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
def test_a_timer_counts_as_a_queued_signal(fork, signals):
    """A timer takes one of the signals that a user may have queued: at RLIMIT_SIGPENDING no timer can be made."""

    def life() -> None:
        signals.block(SIGRTMIN)
        limit_pending(0)
        with fails_with(EAGAIN):
            timer_create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN)

    fork(life).result()
