"""signal(7) on pipes: signal handlers, SIGSTOP and SIGCONT during a blocked call."""

from __future__ import annotations

import signal
from errno import EINTR
from os import O_CLOEXEC, O_NONBLOCK
from select import select
from signal import SIGCONT, SIGSTOP, SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SA_RESTART, read, write

HANDLERS = "Interruption of system calls and library functions by signal handlers"
STOPS = "Interruption of system calls and library functions by stop signals"


@clause("pipe.read-eintr-vs-restart", "signal(7)", HANDLERS, errno=EINTR)
def test_handler_interrupts_a_blocked_read(pipe, fork, signals):
    """A blocked read() fails with EINTR when a signal handler without SA_RESTART runs."""
    p = pipe()

    def child() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            read(p.read_fd, 1)

    reader = fork(child)
    reader.wait_blocked("read")
    reader.signal(SIGUSR1)
    reader.result()


@clause("pipe.read-restarts", "signal(7)", HANDLERS)
def test_read_restarts_after_a_handler_with_sa_restart(pipe, fork, signals):
    """A blocked read() is restarted after a signal handler with SA_RESTART and returns the data written later."""
    p, wakeup = pipe(), pipe(flags=O_NONBLOCK | O_CLOEXEC)

    def child() -> bytes:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(wakeup.write_fd)
        return read(p.read_fd, 10)

    reader = fork(child)
    reader.wait_blocked("read")
    reader.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], 5)[0], "the handler did not run"
    p.write(b"data")
    assert reader.result() == b"data"


@clause("pipe.write-eintr", "signal(7)", HANDLERS, errno=EINTR)
def test_handler_interrupts_a_blocked_write(pipe, fork, signals, fill, unread):
    """A blocked write() that has written nothing fails with EINTR when a signal handler without SA_RESTART runs."""
    p = pipe()
    full = fill(p.write_fd)

    def child() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            write(p.write_fd, b"x")

    writer = fork(child)
    writer.wait_blocked("write")
    writer.signal(SIGUSR1)
    writer.result()
    assert unread(p.read_fd) == full


@pytest.mark.parametrize("flags", [0, SA_RESTART], ids=["interrupting", "restarting"])
@clause("pipe.signal-mid-write-partial", "signal(7)", HANDLERS)
def test_interrupted_partial_write_returns_its_count(pipe, fork, signals, unread, flags):
    """write() interrupted by a signal handler after part of the data
    returns the length of that part, also with SA_RESTART.
    """
    p = pipe()

    def child() -> int:
        signals.catch(SIGUSR1, flags=flags)
        signals.unblock(SIGUSR1)
        return write(p.write_fd, bytes(2 * p.capacity))

    writer = fork(child)
    writer.wait_blocked("write")
    writer.signal(SIGUSR1)
    count = writer.result()
    assert 0 < count < 2 * p.capacity
    assert unread(p.read_fd) == count


@clause("pipe.read-not-affected-by-stop-cont", "signal(7)", STOPS)
def test_read_continues_after_stop_and_continue(pipe, fork):
    """A blocked read() stays blocked across SIGSTOP and SIGCONT, and returns the data written later."""
    p = pipe()
    reader = fork(read, p.read_fd, 10)
    reader.wait_blocked("read")
    reader.signal(SIGSTOP)
    reader.wait_state("Tt")
    reader.signal(SIGCONT)
    reader.wait_blocked("read")
    p.write(b"data")
    assert reader.result() == b"data"
