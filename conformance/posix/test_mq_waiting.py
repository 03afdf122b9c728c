"""mq_send(3), mq_receive(3), signal(7): how long a call waits: to its moment, or to a signal."""

from __future__ import annotations

import time
from errno import EINTR, EINVAL, ETIMEDOUT
from os import O_CLOEXEC, O_NONBLOCK
from select import select
from signal import SIGUSR1, set_wakeup_fd

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import SA_RESTART, Timespec, mq_receive, mq_send, mq_timedreceive, mq_timedsend

LONG_AGO, LATER = Timespec(1, 0), 600


def later() -> Timespec:
    """A moment that no test lives to see."""
    return Timespec.ahead(LATER, time.CLOCK_REALTIME)


@clause("mq_timedsend.etimedout", "mq_send(3)", "ERRORS", errno=ETIMEDOUT)
def test_the_time_to_send_runs_out(full):
    """mq_timedsend to a full queue fails when its moment has come, not before, and at once when that has passed."""
    with fails_with(ETIMEDOUT):
        mq_timedsend(full.fd, b"third", 0, LONG_AGO)
    moment = Timespec.ahead(0.05, time.CLOCK_REALTIME)
    with fails_with(ETIMEDOUT):
        mq_timedsend(full.fd, b"third", 0, moment)
    assert Timespec.ahead(0, time.CLOCK_REALTIME) >= moment
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"first", b"second"]


@clause("mq_timedreceive.etimedout", "mq_receive(3)", "ERRORS", errno=ETIMEDOUT)
def test_the_time_to_receive_runs_out(queue):
    """mq_timedreceive from an empty queue fails when its moment has come, not before, and at once when that has passed."""
    with fails_with(ETIMEDOUT):
        mq_timedreceive(queue.fd, 8, LONG_AGO)
    moment = Timespec.ahead(0.05, time.CLOCK_REALTIME)
    with fails_with(ETIMEDOUT):
        mq_timedreceive(queue.fd, 8, moment)
    assert Timespec.ahead(0, time.CLOCK_REALTIME) >= moment


@clause("mq_timed.in-time", "mq_send(3)", "DESCRIPTION")
def test_what_becomes_possible_in_time_is_done(full, fork):
    """mq_timedsend and mq_timedreceive wait for room and for a message up to their moment, and are done when there is one."""
    sender = fork(mq_timedsend, full.fd, b"third", 0, later())
    sender.wait_blocked("mq_send")
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"first", b"second"]
    sender.result()
    assert mq_receive(full.fd, 8)[0] == b"third"
    receiver = fork(mq_timedreceive, full.fd, 8, later())
    receiver.wait_blocked("mq_receive")
    mq_send(full.fd, b"fourth")
    assert receiver.result() == (b"fourth", 0)


@pytest.mark.parametrize("when", [Timespec(-1, 0), Timespec(1, -1), Timespec(1, 1_000_000_001)], ids=str)
@clause("mq_timedsend.einval", "mq_send(3)", "ERRORS", errno=EINVAL)
def test_a_time_that_is_none_is_refused_in_sending(full, when):
    """Where it would have to wait, mq_timedsend refuses seconds below 0, and nanoseconds below 0 or above a second."""
    with fails_with(EINVAL):
        mq_timedsend(full.fd, b"third", 0, when)
    assert full.attributes.curmsgs == 2


@pytest.mark.parametrize("when", [Timespec(-1, 0), Timespec(1, -1), Timespec(1, 1_000_000_001)], ids=str)
@clause("mq_timedreceive.einval", "mq_receive(3)", "ERRORS", errno=EINVAL)
def test_a_time_that_is_none_is_refused_in_receiving(queue, when):
    """Where it would have to wait, mq_timedreceive refuses seconds below 0, and nanoseconds below 0 or above a second."""
    with fails_with(EINVAL):
        mq_timedreceive(queue.fd, 8, when)


@clause("mq_timed.expired-but-possible-succeeds", "mq_send(3)", "DESCRIPTION")
def test_what_is_possible_is_done_at_any_time(queue):
    """With room, or with a message, the call succeeds though its moment has long passed."""
    mq_timedsend(queue.fd, b"late", 2, LONG_AGO)
    assert mq_timedreceive(queue.fd, 8, LONG_AGO) == (b"late", 2)


@clause(
    "mq_timed.no-validation-when-possible",
    "mq_send(3)",
    "ERRORS",
    disputed="Linux looks at the time first, and refuses with EINVAL what it could have done",
)
def test_a_time_that_is_not_needed_is_not_looked_at(queue):
    """A time that is none is refused only where the call would have to wait."""
    try:
        mq_timedsend(queue.fd, b"", 0, Timespec(1, -1))
    except OSError as error:
        if error.errno == EINVAL and queue.attributes.curmsgs == 0:
            disputed(manual="EINVAL where the call would have blocked", linux="gives EINVAL though there is room")
        raise
    assert mq_timedreceive(queue.fd, 8, Timespec(1, -1)) == (b"", 0)


# Interrupted.


@clause("mq_send.eintr", "mq_send(3)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_sending(full, fork, signals):
    """Waiting for room fails with EINTR when a handler without SA_RESTART has run, and nothing is sent."""

    def child() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            mq_send(full.fd, b"third")

    sender = fork(child)
    sender.wait_blocked("mq_send")
    sender.signal(SIGUSR1)
    sender.result()
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"first", b"second"]
    assert full.attributes.curmsgs == 0


@clause("mq_receive.eintr", "mq_receive(3)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_receiving(queue, fork, signals):
    """Waiting for a message fails with EINTR when a handler without SA_RESTART has run, and nothing is taken later."""

    def child() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            mq_receive(queue.fd, 8)

    receiver = fork(child)
    receiver.wait_blocked("mq_receive")
    receiver.signal(SIGUSR1)
    receiver.result()
    mq_send(queue.fd, b"kept")
    assert queue.attributes.curmsgs == 1


@pytest.mark.parametrize("what", ["mq_send", "mq_receive"])
@clause("mq.sa_restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_waiting_goes_on_after_a_handler_with_restart(full, fork, signals, pipe, what):
    """Waiting for room or for a message goes on when a handler with SA_RESTART has run."""
    told = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    if what == "mq_receive":
        for _ in range(2):
            full.receive()

    def child() -> tuple[bytes, int] | None:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        set_wakeup_fd(told.write_fd)
        if what == "mq_receive":
            return mq_receive(full.fd, 8)
        mq_send(full.fd, b"third")
        return None

    waiting = fork(child)
    waiting.wait_blocked(what)
    waiting.signal(SIGUSR1)
    assert select([told.read_fd], [], [], 5)[0], "the handler did not run"
    waiting.wait_blocked(what)
    if what == "mq_receive":
        mq_send(full.fd, b"here")
        assert waiting.result() == (b"here", 0)
    else:
        full.receive()
        waiting.result()
        assert full.attributes.curmsgs == 2
