"""signal(7): interruption of blocked calls by a handler, with and without SA_RESTART."""

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
    """A call that blocks, the name of its system call, and a function that unblocks it."""

    syscall: str
    call: Callable[[], Any]
    let_go: Callable[[], Any]


@pytest.fixture(params=["read", "write", "open"])
def blocking(request, pipe, fifo) -> Blocking:
    """Return read(2) of an empty pipe, write(2) to a full one, or open(2) of a FIFO without a writer."""
    if request.param == "open":
        meeting = fifo()
        return Blocking("openat", lambda: descriptor.open(meeting.path, os.O_RDONLY), meeting.open_writer)
    channel = pipe()
    if request.param == "read":
        return Blocking("read", lambda: read(channel.read_fd, 1), lambda: channel.write(b"x"))
    channel.write(bytes(channel.capacity))
    return Blocking("write", lambda: write(channel.write_fd, b"x"), lambda: channel.read(channel.capacity))


@clause("sigaction.no-restart-eintr", "signal(7)", HANDLERS, errno=EINTR)
def test_handler_without_sa_restart_ends_blocked_call(fork, signals, blocking):
    """A blocked call fails with EINTR after a handler without SA_RESTART has run."""

    def life():
        caught = signals.catch(SIGUSR1)
        with fails_with(EINTR):
            blocking.call()
        return caught.count

    child = fork(life)
    child.wait_blocked(blocking.syscall)
    child.signal(SIGUSR1)
    assert child.result() == 1


@clause("sigaction.restart-resumes", "signal(7)", HANDLERS)
def test_handler_with_sa_restart_restarts_blocked_call(fork, signals, pipe, blocking):
    """A blocked call is restarted after a handler with SA_RESTART has run, and completes."""
    wakeup = pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        signal.set_wakeup_fd(wakeup.write_fd)
        blocking.call()
        return caught.count

    child = fork(life)
    child.wait_blocked(blocking.syscall)
    child.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], SOON)[0], "the handler must run"
    fork(blocking.let_go)
    assert child.result() == 1


@clause("signal.partial-transfer-returns-count", "signal(7)", HANDLERS)
@pytest.mark.parametrize("flags", [0, SA_RESTART], ids=["plain", "SA_RESTART"])
def test_interrupted_write_returns_bytes_written(fork, signals, pipe, flags):
    """A blocked write() that a handler interrupts after a partial transfer returns the number of bytes transferred."""
    channel = pipe()
    capacity = channel.capacity

    def life() -> tuple[int, int]:
        caught = signals.catch(SIGUSR1, flags=flags)
        return write(channel.write_fd, bytes(capacity + 1)), caught.count

    child = fork(life)
    child.wait_blocked("write")
    child.signal(SIGUSR1)
    assert child.result() == (capacity, 1)
