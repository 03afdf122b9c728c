"""Two processes and the channel between them: this one measures, the other answers its orders."""

from __future__ import annotations

import gc
import os
import signal
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from threading import current_thread, main_thread
from time import monotonic, perf_counter_ns
from types import FrameType
from typing import NoReturn

from ...api import scope
from .channel import Channel, NotMeasured, Opening, Setting
from .cpus import Pins, pin

__all__ = ["Pair", "new_pair", "within"]

_ORDER = Struct("=cxxxI")  # what to do, and how often
_ECHO, _TAKE = b"e", b"t"


class _Stalled(Exception):
    """The other process has failed, or the time is over."""


@dataclass
class Pair:
    """This process and the other one, which waits for orders."""

    channel: Channel
    _orders: int  # a pipe to the other process
    _done: int  # a pipe from it

    def round_trips(self, count: int) -> array[int]:
        """Send a message and wait for its return, *count* times; return the nanoseconds of each."""
        send, receive, clock = self.channel.ours.send, self.channel.ours.receive, perf_counter_ns
        times = array("q", bytes(8 * count))
        os.write(self._orders, _ORDER.pack(_ECHO, count))
        for number in range(count):
            start = clock()
            send()
            receive()
            times[number] = clock() - start
        return times

    def stream(self, count: int) -> int:
        """Send *count* messages in a row; return the nanoseconds until the other process has taken the last."""
        send = self.channel.ours.stream_send or self.channel.ours.send
        os.write(self._orders, _ORDER.pack(_TAKE, count))
        start = perf_counter_ns()
        for _ in repeat(None, count):
            send()
        os.read(self._done, 1)
        return perf_counter_ns() - start


@contextmanager
def new_pair(opening: Opening, message: bytes, pins: Pins, seconds: float) -> Iterator[Pair]:
    """Open a channel for *message* and start the other process; end both after the block.

    OSError of a call that the platform lacks or refuses, in either process; NotMeasured, also after *seconds*.
    """
    with ExitStack() as undo, scope() as ipc:  # the objects and the process end before the rest is undone
        channel = opening(Setting(ipc, undo, message))
        orders, done = ipc.pipe(), ipc.pipe()
        parent = os.getpid()
        child = ipc.fork(_answer, channel, orders.read_fd, done.write_fd, pins.peers, parent)
        child.may_fail = True  # what it reports is read below
        channel.started(child.pid)
        try:
            with within(seconds):
                os.read(done.read_fd, 1)  # it has left this process's CPU, which it would wait for if this one polled
                yield Pair(channel, orders.write_fd, done.read_fd)
        except (_Stalled, OSError) as error:
            os.set_blocking(done.read_fd, False)
            try:
                said = os.read(done.read_fd, 1000).lstrip(b"\0").decode(errors="replace")
            except BlockingIOError:
                said = ""
            if said:
                raise NotMeasured(said) from None
            if isinstance(error, OSError):
                raise
            raise NotMeasured(f"did not end within {seconds:g} seconds", ends_all=True) from None


def _answer(channel: Channel, orders: int, done: int, cpu: int | None, parent: int) -> None:
    """Carry out the orders of the measuring process, in the other one."""
    try:
        pin(cpu)
        os.write(done, b"\0")
        gc.disable()
        end = channel.peers
        send, receive, take = end.send, end.receive, end.stream_receive or end.receive
        while order := os.read(orders, _ORDER.size):
            what, count = _ORDER.unpack(order)
            if what == _ECHO:
                for _ in repeat(None, count):
                    receive()
                    send()
            else:
                for _ in repeat(None, count):
                    take()
                os.write(done, b"\0")
    except (OSError, EOFError) as error:
        # The measuring process waits for a message that will not come.
        os.write(done, f"in the receiving process: {error}".encode())
        os.kill(parent, signal.SIGALRM)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise an exception in the block when *seconds* are over, or when the other process reports a failure.

    SIGALRM interrupts a call that waits for what never comes. Its handler and timer are restored, less the time that
    has passed.
    """
    if current_thread() is not main_thread():
        raise RuntimeError("the benchmark must run in the main thread, which handles signals")
    start = monotonic()
    handler = signal.signal(signal.SIGALRM, _stalled)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (monotonic() - start), 0.001), interval)


def _stalled(_signo: int, _frame: FrameType | None) -> NoReturn:
    raise _Stalled
