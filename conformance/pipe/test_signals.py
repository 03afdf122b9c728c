"""signal(7) on pipes: what a handler, a stop and a continuation do to a call that waits."""

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
def test_a_handler_interrupts_a_read(pipe, fork, signals):
    """A read that waits fails with EINTR when a handler without SA_RESTART has run."""
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
def test_a_read_goes_on_after_a_handler_with_restart(pipe, fork, signals):
    """A read that waits goes on waiting when a handler with SA_RESTART has run, and gives the data that come then."""
    p, told = pipe(), pipe(flags=O_NONBLOCK | O_CLOEXEC)

    def child() -> bytes:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(told.write_fd)
        return read(p.read_fd, 10)

    reader = fork(child)
    reader.wait_blocked("read")
    reader.signal(SIGUSR1)
    assert select([told.read_fd], [], [], 5)[0], "the handler did not run"
    p.write(b"data")
    assert reader.result() == b"data"


@clause("pipe.write-eintr", "signal(7)", HANDLERS, errno=EINTR)
def test_a_handler_interrupts_a_write(pipe, fork, signals, fill, unread):
    """A write that waits and has written nothing yet fails with EINTR when a handler without SA_RESTART has run."""
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
def test_a_write_interrupted_half_way_gives_its_count(pipe, fork, signals, unread, flags):
    """A write that a handler interrupts after part of the data gives the count of that part, not EINTR, and does not resume."""
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
def test_a_read_survives_stop_and_continue(pipe, fork):
    """A read that waits while its process is stopped and continued goes on waiting, and gives the data that come then."""
    p = pipe()
    reader = fork(read, p.read_fd, 10)
    reader.wait_blocked("read")
    reader.signal(SIGSTOP)
    reader.wait_state("Tt")
    reader.signal(SIGCONT)
    reader.wait_blocked("read")
    p.write(b"data")
    assert reader.result() == b"data"
