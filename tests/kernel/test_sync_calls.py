"""Calls on counters, timers, futexes, pidfds, stacks and mutexes: invalid arguments are refused, and nothing wraps."""

from __future__ import annotations

import select as standard_select
import signal
import time
from collections.abc import Callable
from ctypes import addressof, c_size_t, c_uint32, sizeof
from errno import EBUSY, EPERM, ETIMEDOUT

import pytest

from pytest_ipc import fails_with
from pytest_ipc.kernel import (
    FUTEX_WAKE,
    MUTEX_BYTES,
    PTHREAD_MUTEX_ERRORCHECK,
    PTHREAD_MUTEX_RECURSIVE,
    SIGEV_NONE,
    SIGEV_THREAD,
    ItimerSpec,
    ItimerVal,
    Stack,
    Timespec,
    Timeval,
    alarm,
    epoll_wait,
    eventfd,
    eventfd_write,
    futex,
    futex_wait,
    futex_waitv,
    futex_wake,
    get_robust_list,
    getitimer,
    mutex_destroy,
    mutex_init,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    nanosleep,
    pidfd_getfd,
    pidfd_open,
    pidfd_send_signal,
    poll,
    select,
    set_robust_list,
    setitimer,
    sigaltstack,
    signalfd,
    timer_create,
    timer_delete,
    timer_gettime,
    timerfd_create,
    timerfd_set_ticks,
    timerfd_settime,
)

REFUSED: dict[str, tuple[Callable[[], object], type[Exception]]] = {
    "eventfd of less than nothing": (lambda: eventfd(-1), OverflowError),
    "eventfd of 33 bits": (lambda: eventfd(1 << 32), OverflowError),
    "eventfd of a text": (lambda: eventfd("1"), TypeError),  # type: ignore[arg-type]
    "less than nothing to add": (lambda: eventfd_write(1, -1), OverflowError),
    "65 bits to add": (lambda: eventfd_write(1, 1 << 64), OverflowError),
    "signalfd of no signal": (lambda: signalfd(-1, {0}), ValueError),
    "signalfd of a flag too large": (lambda: signalfd(-1, {1}, 1 << 31), OverflowError),
    "timerfd of a clock too large": (lambda: timerfd_create(1 << 31), OverflowError),
    "timerfd to a time too long": (lambda: timerfd_settime(0, ItimerSpec(Timespec(1 << 63))), OverflowError),
    "timerfd to a time of a float": (
        lambda: timerfd_settime(0, ItimerSpec(Timespec(0.5))),  # type: ignore[arg-type]
        TypeError,
    ),
    "ticks below 0": (lambda: timerfd_set_ticks(0, -1), OverflowError),
    "a timer with a thread": (lambda: timer_create(0, SIGEV_THREAD), ValueError),
    "a timer of a value too large": (lambda: timer_create(0, SIGEV_NONE, value=1 << 31), OverflowError),
    "a timer that is a negative number": (lambda: timer_gettime(-1), OverflowError),
    "an interval timer too long": (lambda: setitimer(0, ItimerVal(Timeval(1 << 63))), OverflowError),
    "an alarm below 0": (lambda: alarm(-1), OverflowError),
    "a stack at no address": (lambda: sigaltstack(Stack(-1, 1 << 16)), OverflowError),
    "a stack of less than nothing": (lambda: sigaltstack(Stack(4096, -1)), OverflowError),
    "a futex at no address": (lambda: futex(-4, FUTEX_WAKE), OverflowError),
    "a futex of 33 bits": (lambda: futex_wait(4096, 1 << 32), OverflowError),
    "a futex of a text": (lambda: futex_wake("4096"), TypeError),  # type: ignore[arg-type]
    "words of 33 bits": (lambda: futex_waitv([(4096, 1 << 32)]), OverflowError),
    "a robust list at no address": (lambda: set_robust_list(-1), OverflowError),
    "the robust list of a thread too large": (lambda: get_robust_list(1 << 31), OverflowError),
    "the pidfd of a number too large": (lambda: pidfd_open(1 << 31), OverflowError),
    "a signal too large by pidfd": (lambda: pidfd_send_signal(0, 1 << 31), OverflowError),
    "a code too large by pidfd": (lambda: pidfd_send_signal(0, 1, info=(1, 1 << 31)), OverflowError),
    "a descriptor too large by pidfd": (lambda: pidfd_getfd(0, 1 << 31), OverflowError),
    "a descriptor beyond the set": (lambda: select({1024}, 0), ValueError),
    "a mutex at no address": (lambda: mutex_init(-1), OverflowError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_value_beyond_the_c_type_raises_overflow_error(case):
    call, error = REFUSED[case]
    with pytest.raises(error):
        call()


def test_times_are_not_normalized():
    assert Timespec.of(1.5) == Timespec(1, 500_000_000)
    assert Timespec.of(-0.25) == Timespec(-1, 750_000_000)
    assert Timespec.of(1 - 1e-12) == Timespec(0, 999_999_999)
    assert Timeval.of(2.25) == Timeval(2, 250_000)
    assert (Timespec(1, 500_000_000).seconds, Timeval(1, 500_000).seconds) == (1.5, 1.5)
    assert Timespec(0, 1) < Timespec(1)
    packed = ItimerSpec(Timespec(1, 2), Timespec(3, 4)).pack()
    assert ItimerSpec.read(packed) == ItimerSpec(Timespec(1, 2), Timespec(3, 4))
    assert ItimerVal.read(ItimerVal(Timeval(1, 2), Timeval(3, 4)).pack()) == ItimerVal(Timeval(1, 2), Timeval(3, 4))


def test_timer_create_returns_distinct_timers():
    first, second = timer_create(time.CLOCK_MONOTONIC, SIGEV_NONE), timer_create(time.CLOCK_MONOTONIC, SIGEV_NONE)
    assert first != second
    timer_delete(first)
    assert timer_gettime(second) == ItimerSpec()
    timer_delete(second)


def test_getitimer_does_not_change_the_timer():
    reported = getitimer(signal.ITIMER_VIRTUAL)
    assert getitimer(signal.ITIMER_VIRTUAL) == reported == ItimerVal()


def test_address_in_the_upper_half_reaches_the_kernel():
    top = (1 << 8 * sizeof(c_size_t)) - 4
    with pytest.raises(OSError, match="futex: "):
        futex_wait(top, 0)


def test_poll_returns_ready_descriptors(pipe):
    channel = pipe()
    assert poll({channel.read_fd: 1}, 0) == {}
    assert select({channel.read_fd}, 0) == set()
    channel.write(b"x")
    assert poll({channel.read_fd: 1, channel.write_fd: 4}, 0) == {channel.read_fd: 1, channel.write_fd: 4}
    assert select({channel.read_fd}, 1500) == {channel.read_fd}
    with standard_select.epoll() as queue:
        queue.register(channel.read_fd, standard_select.EPOLLIN)
        assert [event.events for event in epoll_wait(queue.fileno(), 4, 0)] == [standard_select.EPOLLIN]


def test_nanosleep_sleeps_no_less_than_the_time():
    start = time.monotonic_ns()
    nanosleep(Timespec(0, 2_000_000))
    assert time.monotonic_ns() - start >= 2_000_000


@pytest.fixture
def room(futex):
    """Return the address of memory for a mutex."""
    return futex().address


def test_mutexes_of_every_kind(room, fork):
    mutex_init(room, kind=PTHREAD_MUTEX_RECURSIVE)
    mutex_lock(room)
    mutex_lock(room)
    mutex_unlock(room)

    def life() -> None:
        with fails_with(EBUSY):
            mutex_trylock(room)

    fork(life).result()
    mutex_unlock(room)
    mutex_trylock(room)
    mutex_unlock(room)
    mutex_destroy(room)
    mutex_init(room, kind=PTHREAD_MUTEX_ERRORCHECK)
    with fails_with(EPERM):
        mutex_unlock(room)
    with pytest.raises(OSError, match="pthread_mutexattr_settype: Invalid argument"):
        mutex_init(room, kind=99)
    assert MUTEX_BYTES >= 40


def test_timed_wait_fails_with_etimedout():
    word = c_uint32(3)
    with fails_with(ETIMEDOUT):
        futex_wait(addressof(word), 3, Timespec(0, 1))
