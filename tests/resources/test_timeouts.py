"""Time limits of every wait: none at all, infinite, and far beyond what the call below takes (int milliseconds, a time_t)."""

from __future__ import annotations

import math
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import scope
from pytest_ipc.kernel import Timespec, times


def eventfd(ipc: Any, timeout: float | None) -> None:
    assert ipc.eventfd(3).read(timeout=timeout) == 3


def eventfd_write(ipc: Any, timeout: float | None) -> None:
    ipc.eventfd(3).write(1, timeout=timeout)


def timerfd(ipc: Any, timeout: float | None) -> None:
    timer = ipc.timerfd()
    timer.set(0.001)
    assert timer.read(timeout=timeout) == 1


def signalfd(ipc: Any, timeout: float | None) -> None:
    ipc.signals.block(signal.SIGUSR1)
    fd = ipc.signals.fd(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    assert fd.read(timeout=timeout).signo == signal.SIGUSR1


def signals_wait(ipc: Any, timeout: float | None) -> None:
    ipc.signals.block(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    assert ipc.signals.wait(signal.SIGUSR1, timeout=timeout).signo == signal.SIGUSR1


def caught_wait(ipc: Any, timeout: float | None) -> None:
    caught = ipc.signals.catch(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    caught.wait(timeout=timeout)


def futex(ipc: Any, timeout: float | None) -> None:
    word = ipc.futex(1)
    assert word.wait(0, timeout=timeout) is False
    waiter = ipc.fork(word.wait, 1, timeout=timeout)
    waiter.wait_blocked("futex")
    word.wake()
    assert waiter.result()


def sysv_sem(ipc: Any, timeout: float | None) -> None:
    made = ipc.sysv_sem(values=[0])
    waiter = ipc.fork(made.acquire, timeout=timeout)
    waiter.wait_blocked("semop")
    made.release()
    waiter.result()


def posix_sem(ipc: Any, timeout: float | None) -> None:
    made = ipc.posix_sem(0)
    waiter = ipc.fork(made.wait, timeout=timeout)
    waiter.wait_blocked("futex")
    made.post()
    waiter.result()


def posix_mq_receive(ipc: Any, timeout: float | None) -> None:
    queue = ipc.posix_mq(maxmsg=1, msgsize=8)
    waiter = ipc.fork(queue.receive, timeout=timeout)
    waiter.wait_blocked("mq_receive")
    queue.send(b"x")
    assert waiter.result() == (b"x", 0)


def posix_mq_send(ipc: Any, timeout: float | None) -> None:
    ipc.posix_mq(maxmsg=1, msgsize=8).send(b"x", timeout=timeout)


def sysv_msg_receive(ipc: Any, timeout: float | None) -> None:
    queue = ipc.sysv_msg()
    queue.send(b"x")
    assert queue.receive(timeout=timeout).text == b"x"


def sysv_msg_send(ipc: Any, timeout: float | None) -> None:
    ipc.sysv_msg().send(b"x", timeout=timeout)


def socket_receive(ipc: Any, timeout: float | None) -> None:
    left, right = ipc.sockets.pair()
    left.send(b"x", timeout=timeout)
    assert right.receive(timeout=timeout) == b"x"
    left.send(b"y")
    assert right.receive_message(timeout=timeout).data == b"y"


def connect_inet(ipc: Any, timeout: float | None) -> None:
    listener = ipc.sockets.listen_inet()
    ipc.sockets.connect(listener, timeout=timeout)
    assert listener.accept(timeout=timeout).fileno() >= 0


def connect_unix(ipc: Any, timeout: float | None) -> None:
    listener = ipc.sockets.listen_unix()
    ipc.sockets.connect(listener, timeout=timeout)
    assert listener.accept(timeout=timeout).socket.family == socket.AF_UNIX


def fifo(ipc: Any, timeout: float | None) -> None:
    made = ipc.fifo()
    writer = ipc.fork(os.open, made.path, os.O_WRONLY)
    assert made.open_reader(timeout=timeout).fileno() >= 0
    writer.result()
    reader = ipc.fork(os.open, made.path, os.O_RDONLY)
    assert made.open_writer(timeout=timeout).fileno() >= 0
    reader.result()


def file_lock(ipc: Any, timeout: float | None) -> None:
    ipc.file_lock().acquire(timeout=timeout)


def child(ipc: Any, timeout: float | None) -> None:
    made = ipc.fork(signal.pause)
    made.wait_blocked("pause", timeout=timeout)
    made.wait_state("S", timeout=timeout)
    made.signal(signal.SIGTERM)
    assert made.wait(timeout=timeout) == -signal.SIGTERM
    assert ipc.fork(lambda: 7).result(timeout=timeout) == 7


WAITS = [
    eventfd,
    eventfd_write,
    timerfd,
    signalfd,
    signals_wait,
    caught_wait,
    futex,
    sysv_sem,
    posix_sem,
    posix_mq_receive,
    posix_mq_send,
    sysv_msg_receive,
    sysv_msg_send,
    socket_receive,
    connect_inet,
    connect_unix,
    fifo,
    file_lock,
    child,
]


@pytest.mark.parametrize("timeout", [None, math.inf, 2**31 / 1000, 1e9, 1e12, 1e300], ids=str)
@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_takes_any_time_limit(wait: Callable[[Any, float | None], None], timeout):
    with scope() as ipc:
        wait(ipc, timeout)


@pytest.mark.parametrize("timeout", [None, math.inf], ids=str)
def test_without_a_limit_the_kernels_queue_is_waited_in(fork, sysv_msg, file_lock, timeout):
    """Where a limit can be kept only by asking again and again, an infinite one is none."""
    queue, lock = sysv_msg(), file_lock()
    receiver = fork(queue.receive, timeout=timeout)
    receiver.wait_blocked("msgrcv")
    queue.send(b"x")
    assert receiver.result().text == b"x"
    lock.acquire()

    def life():
        with scope() as ipc:
            ipc.file_lock(lock.path, flags=os.O_RDWR).acquire(timeout=timeout)

    waiter = fork(life)
    waiter.wait_blocked("flock")
    lock.release()
    waiter.result()


def test_times_are_no_later_than_a_time_t_of_32_bits_can_hold(monkeypatch):
    monkeypatch.setattr(times, "_MOST", 2.0**31 - 1)
    assert Timespec.of(math.inf) == Timespec.of(1e12) == Timespec(2**31 - 1, 0)
    assert Timespec.ahead(1e12, 0).sec == Timespec.ahead(math.inf, 0).sec == 2**31 - 1
    assert Timespec.of(1.5) == Timespec(1, 500_000_000)
