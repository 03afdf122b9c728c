"""Counters, timers, signals and pidfds with the standard library: created by one, used by the other, both ways."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
import time
from signal import ITIMER_REAL, ITIMER_VIRTUAL, SIGALRM, SIGRTMIN, SIGUSR1

import pytest

from pytest_ipc import SignalFd, TimerFd
from pytest_ipc.kernel import (
    EFD_NONBLOCK,
    EFD_SEMAPHORE,
    ItimerSpec,
    ItimerVal,
    Timespec,
    Timeval,
    alarm,
    eventfd_read,
    eventfd_write,
    futex_wake,
    getitimer,
    pidfd_open,
    pidfd_send_signal,
    setitimer,
    sigqueue,
    timerfd_gettime,
    timerfd_read,
)


def test_its_counter_is_read_and_written_by_us():
    fd = os.eventfd(4, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
    try:
        eventfd_write(fd, 2)
        assert [eventfd_read(fd), os.eventfd_read(fd)] == [1, 1]
    finally:
        os.close(fd)


def test_our_counter_is_read_and_written_by_it(eventfd):
    counter = eventfd(flags=EFD_NONBLOCK | EFD_SEMAPHORE)
    os.eventfd_write(counter.fd, 3)
    counter.write(1)
    assert [os.eventfd_read(counter.fd) for _ in range(4)] == [1] * 4
    with pytest.raises(BlockingIOError):
        os.eventfd_read(counter.fd)


def test_our_counter_wakes_its_selector(eventfd, fork):
    counter = eventfd()

    def life() -> list[tuple[int, int]]:
        with select.epoll() as queue:
            queue.register(counter.fd, select.EPOLLIN)
            return queue.poll(5)

    waiter = fork(life)
    waiter.wait_blocked("epoll_wait")
    counter.write()
    assert waiter.result() == [(counter.fd, select.EPOLLIN)]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="os.timerfd_create came with Python 3.13")
def test_its_timer_is_ours_and_ours_its():
    fd = os.timerfd_create(time.CLOCK_MONOTONIC)  # type: ignore[attr-defined,unused-ignore]
    try:
        os.timerfd_settime(fd, initial=600, interval=7)  # type: ignore[attr-defined,unused-ignore]
        reported = timerfd_gettime(fd)
        assert reported.interval == Timespec(7)
        assert Timespec(500) < reported.value <= Timespec(600)
        os.timerfd_settime_ns(fd, initial=1)  # type: ignore[attr-defined,unused-ignore]
        assert timerfd_read(fd) == 1
    finally:
        os.close(fd)
    with TimerFd.create() as timer:
        timer.set(600, 7)
        left, interval = os.timerfd_gettime(timer.fd)  # type: ignore[attr-defined,unused-ignore]
        assert 500 < left <= 600
        assert interval == 7


def test_interval_timers_are_the_same_to_both(fork):
    def life() -> None:
        signal.setitimer(ITIMER_VIRTUAL, 600, 7.5)
        reported = getitimer(ITIMER_VIRTUAL)
        assert reported.interval == Timeval(7, 500_000)
        assert 500 < reported.value.seconds <= 601
        setitimer(ITIMER_REAL, ItimerVal(Timeval(50), Timeval(0, 250_000)))
        left, interval = signal.getitimer(ITIMER_REAL)
        assert 0 < left <= 50
        assert interval == 0.25
        assert 0 < alarm(30) <= 50
        assert 0 < signal.alarm(0) <= 30

    fork(life).result()


def test_a_signal_that_it_sent_is_read_by_us_and_ours_is_taken_by_it(fork):
    def life() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [SIGUSR1, SIGRTMIN])
        with SignalFd.create([SIGUSR1]) as source:
            signal.raise_signal(SIGUSR1)
            assert source.read().signo == SIGUSR1
        sigqueue(os.getpid(), SIGRTMIN, 5)
        info = signal.sigwaitinfo([SIGRTMIN])
        assert (info.si_signo, info.si_pid) == (SIGRTMIN, os.getpid())

    fork(life).result()


def test_its_pidfd_is_signalled_by_us_and_ours_by_it(fork):
    for make, send in ((os.pidfd_open, pidfd_send_signal), (pidfd_open, signal.pidfd_send_signal)):
        child = fork(signal.pause)
        child.wait_blocked("pause")
        fd = make(child.pid)
        send(fd, signal.SIGTERM)
        assert select.select([fd], [], [], 5)[0] == [fd]
        assert child.wait() == -signal.SIGTERM
        os.close(fd)


# Python 3.12 on warns of a fork in a process with threads, as a pytest-xdist worker is one.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_multiprocessing_process_waits_on_our_futex(futex):
    word = futex()
    other = multiprocessing.get_context("fork").Process(target=word.wait, args=(0,), kwargs={"timeout": 10})
    other.start()
    try:
        end = time.monotonic() + 5
        while futex_wake(word.address) != 1:
            assert time.monotonic() < end, "nobody waited"
        other.join(5)
        assert other.exitcode == 0
    finally:
        other.kill()
        other.join()


def test_handlers_of_signals_see_our_alarm(fork):
    def life() -> list[int]:
        seen: list[int] = []
        signal.signal(SIGALRM, lambda signo, _frame: seen.append(signo))
        setitimer(ITIMER_REAL, ItimerVal(Timeval(0, 1)))
        end = time.monotonic() + 5
        while not seen and time.monotonic() < end:
            pass
        return seen

    assert fork(life).result() == [SIGALRM]


def test_times_equal_those_of_the_stdlib():
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    spec = Timespec(*divmod(now, 10**9))
    assert Timespec.of(now / 10**9).sec == spec.sec
    assert abs(spec.seconds - now / 10**9) < 1e-6
    assert ItimerSpec(spec).pack().value.tv_nsec == spec.nsec
