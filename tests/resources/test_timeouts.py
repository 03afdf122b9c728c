"""Timeouts of every wait: none, infinite, and beyond the range of the system call (int milliseconds, time_t)."""

from __future__ import annotations

import inspect
import math
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

import pytest_ipc
from pytest_ipc import DEFAULT, scope
from pytest_ipc.kernel import Timespec, times
from pytest_ipc.resource import check_timeout


def eventfd(ipc: Any, timeout: float | None) -> None:
    assert ipc.eventfd(3).read(timeout=timeout) == 3


def eventfd_write(ipc: Any, timeout: float | None) -> None:
    ipc.eventfd(3).write(1, timeout=timeout)


def pipe(ipc: Any, timeout: float | None) -> None:
    ends = ipc.pipe()
    reader = ipc.fork(ends.read, 1, timeout=timeout)
    reader.wait_blocked("read" if timeout is None or math.isinf(timeout) else "poll")
    assert ends.write(b"x", timeout=timeout) == 1
    assert reader.result() == b"x"


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
    pipe,
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


def test_every_timeout_is_given_by_name_and_has_one_default():
    """Of every public class, and of ipc and its sockets."""
    found = 0
    for name in dir(pytest_ipc):
        cls = getattr(pytest_ipc, name)
        for attribute, value in vars(cls).items() if inspect.isclass(cls) else ():
            function = getattr(value, "__func__", value)
            if inspect.isfunction(function) and not attribute.startswith("_"):
                timeout = inspect.signature(function).parameters.get("timeout")
                if timeout is not None:
                    found += 1
                    assert (timeout.kind, timeout.default) == (timeout.KEYWORD_ONLY, DEFAULT), f"{name}.{attribute}"
    assert found > 30


def test_the_default_is_5_seconds():
    assert check_timeout(DEFAULT) == 5


def test_the_default_can_be_configured(pytester):
    pytester.makeini("[pytest]\nipc_timeout = 0.25\n")
    pytester.makepyfile(
        """
        import pytest

        def test_pipe(pipe):
            text = r"^waited 0.25 s for data from <read end .*>; it holds 0 of \\d+ bytes$"
            with pytest.raises(TimeoutError, match=text):
                pipe().read()

        def test_child_of_a_child(fork, eventfd):
            counter = eventfd()
            with pytest.raises(TimeoutError, match="^waited 0.25 s for an event from"):
                fork(counter.read).result(timeout=20)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "five"])
def test_invalid_default_timeout_is_rejected(pytester, text):
    # in this process, a run that ends so early would leave faulthandler off
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", f"ipc_timeout={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    says = f"ipc_timeout must be a positive number of seconds, not {text}; use timeout=None in a call to wait for ever"
    assert says in result.stderr.str()


def test_a_full_pipe_is_waited_for(pipe):
    ends = pipe()
    assert ends.write(bytes(ends.capacity)) == ends.capacity
    says = (
        f"waited 0.01 s for room for 2 bytes, of which 0 went out, in .*; it holds {ends.capacity} of {ends.capacity} "
    )
    with pytest.raises(TimeoutError, match=says):
        ends.write(b"xx", timeout=0.01)
    assert len(ends.read(ends.capacity)) == ends.capacity
    with pytest.raises(TimeoutError, match=f"for {ends.capacity + 1} bytes, of which {ends.capacity} went out"):
        ends.write(bytes(ends.capacity + 1), timeout=0.05)


def test_write_beyond_the_capacity_waits_for_the_reader(fork, pipe):
    ends = pipe()
    data = bytes(range(256)) * 1024

    def life() -> bytes:
        ends.close_write()
        return b"".join(iter(ends.read, b""))

    reader = fork(life)
    assert ends.write(data) == len(data)
    ends.close_write()
    assert reader.result() == data


def test_a_pipe_that_does_not_wait_does_not_wait(pipe):
    ends = pipe(flags=os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        ends.read()
    assert ends.write(bytes(2 * ends.capacity)) == ends.capacity
    with pytest.raises(BlockingIOError):
        ends.write(b"x")


@pytest.mark.parametrize(("end", "use"), [("writer", "read"), ("reader", "write")])
def test_the_wrong_end_of_a_pipe_fails_at_once(pipe, end, use):
    with pytest.raises(OSError, match="Bad file descriptor"):
        getattr(getattr(pipe(), end), use)(*([b"x"] if use == "write" else []))
