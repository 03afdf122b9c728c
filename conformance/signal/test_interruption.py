"""signal(7): what a handler does to a call that is blocked, with SA_RESTART and without."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from errno import EINTR
from select import select
from signal import SIGUSR1
from typing import Any

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SA_RESTART, descriptor, read, write

from .plain_child import SOON

HANDLERS = "Interruption of system calls and library functions by signal handlers"


@dataclass(frozen=True)
class Blocking:
    """A call that blocks, the name of its system call, and what lets it go on."""

    syscall: str
    call: Callable[[], Any]
    let_go: Callable[[], Any]


@pytest.fixture(params=["read", "write", "open"])
def blocking(request, pipe, fifo) -> Blocking:
    """read(2) of an empty pipe, write(2) to a full one, open(2) of a FIFO that has no writer."""
    if request.param == "open":
        meeting = fifo()
        return Blocking("openat", lambda: descriptor.open(meeting.path, os.O_RDONLY), meeting.open_writer)
    channel = pipe()
    if request.param == "read":
        return Blocking("read", lambda: read(channel.read_fd, 1), lambda: channel.write(b"x"))
    channel.write(bytes(channel.capacity))
    return Blocking("write", lambda: write(channel.write_fd, b"x"), lambda: channel.read(channel.capacity))


@clause("sigaction.no-restart-eintr", "signal(7)", HANDLERS, errno=EINTR)
def test_a_blocked_call_ends_when_a_handler_has_run(fork, signals, blocking):
    """A call that is blocked fails when a handler has run that was installed without SA_RESTART."""

    def life():
        caught = signals.catch(SIGUSR1)
        with fails_with(EINTR):
            blocking.call()
        return caught.count

    actor = fork(life)
    actor.wait_blocked(blocking.syscall)
    actor.signal(SIGUSR1)
    assert actor.result() == 1


@clause("sigaction.restart-resumes", "signal(7)", HANDLERS)
def test_a_blocked_call_goes_on_with_restart(fork, signals, pipe, blocking):
    """A call that is blocked goes on when a handler has run that was installed with SA_RESTART, and does what it was called for."""
    told = pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        signal.set_wakeup_fd(told.write_fd)
        blocking.call()
        return caught.count

    actor = fork(life)
    actor.wait_blocked(blocking.syscall)
    actor.signal(SIGUSR1)
    assert select([told.read_fd], [], [], SOON)[0], "the handler did not run"
    fork(blocking.let_go)
    assert actor.result() == 1


@clause("signal.partial-transfer-returns-count", "signal(7)", HANDLERS)
@pytest.mark.parametrize("flags", [0, SA_RESTART], ids=["plain", "SA_RESTART"])
def test_a_call_that_has_moved_something_says_how_much(fork, signals, pipe, flags):
    """A blocked write(2) that a handler interrupts after some bytes have gone out succeeds with their number."""
    channel = pipe()
    capacity = channel.capacity

    def life() -> tuple[int, int]:
        caught = signals.catch(SIGUSR1, flags=flags)
        return write(channel.write_fd, bytes(capacity + 1)), caught.count

    actor = fork(life)
    actor.wait_blocked("write")
    actor.signal(SIGUSR1)
    assert actor.result() == (capacity, 1)
