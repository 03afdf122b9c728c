"""mq_send(3), mq_receive(3), signal(7): timeouts, and signals during a blocked call."""

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
    """Return a time in the far future."""
    return Timespec.ahead(LATER, time.CLOCK_REALTIME)


@clause("mq_timedsend.etimedout", "mq_send(3)", "ERRORS", errno=ETIMEDOUT)
def test_timedsend_times_out(full):
    """mq_timedsend() to a full queue fails with ETIMEDOUT at its
    timeout, not earlier, and at once if the timeout has passed.
    """
    with fails_with(ETIMEDOUT):
        mq_timedsend(full.fd, b"third", 0, LONG_AGO)
    timeout = Timespec.ahead(0.05, time.CLOCK_REALTIME)
    with fails_with(ETIMEDOUT):
        mq_timedsend(full.fd, b"third", 0, timeout)
    assert Timespec.ahead(0, time.CLOCK_REALTIME) >= timeout
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"first", b"second"]


@clause("mq_timedreceive.etimedout", "mq_receive(3)", "ERRORS", errno=ETIMEDOUT)
def test_timedreceive_times_out(queue):
    """mq_timedreceive() from an empty queue fails with ETIMEDOUT at
    its timeout, not earlier, and at once if it has passed.
    """
    with fails_with(ETIMEDOUT):
        mq_timedreceive(queue.fd, 8, LONG_AGO)
    timeout = Timespec.ahead(0.05, time.CLOCK_REALTIME)
    with fails_with(ETIMEDOUT):
        mq_timedreceive(queue.fd, 8, timeout)
    assert Timespec.ahead(0, time.CLOCK_REALTIME) >= timeout


@clause("mq_timed.in-time", "mq_send(3)", "DESCRIPTION")
def test_timed_calls_succeed_before_the_timeout(full, fork):
    """mq_timedsend() and mq_timedreceive() block until there is space or a message, if that is before the timeout."""
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
def test_timedsend_with_invalid_timeout_fails(full, when):
    """A blocking mq_timedsend() fails with EINVAL for tv_sec below 0 and tv_nsec below 0 or above 1,000,000,000."""
    with fails_with(EINVAL):
        mq_timedsend(full.fd, b"third", 0, when)
    assert full.attributes.curmsgs == 2


@pytest.mark.parametrize("when", [Timespec(-1, 0), Timespec(1, -1), Timespec(1, 1_000_000_001)], ids=str)
@clause("mq_timedreceive.einval", "mq_receive(3)", "ERRORS", errno=EINVAL)
def test_timedreceive_with_invalid_timeout_fails(queue, when):
    """A blocking mq_timedreceive() fails with EINVAL for tv_sec below 0 and tv_nsec below 0 or above 1,000,000,000."""
    with fails_with(EINVAL):
        mq_timedreceive(queue.fd, 8, when)


@clause("mq_timed.expired-but-possible-succeeds", "mq_send(3)", "DESCRIPTION")
def test_timed_calls_that_need_not_block_succeed(queue):
    """mq_timedsend() and mq_timedreceive() succeed after the timeout has passed if they need not block."""
    mq_timedsend(queue.fd, b"late", 2, LONG_AGO)
    assert mq_timedreceive(queue.fd, 8, LONG_AGO) == (b"late", 2)


@clause(
    "mq_timed.no-validation-when-possible",
    "mq_send(3)",
    "ERRORS",
    disputed="Linux checks the timeout first, and fails with EINVAL also if the call need not block",
)
def test_timeout_is_ignored_if_not_blocking(queue):
    """mq_timedsend() and mq_timedreceive() ignore an invalid timeout if they need not block."""
    try:
        mq_timedsend(queue.fd, b"", 0, Timespec(1, -1))
    except OSError as error:
        if error.errno == EINVAL and queue.attributes.curmsgs == 0:
            disputed(
                manual="EINVAL where the call would have blocked",
                linux="fails with EINVAL although the queue is not full",
            )
        raise
    assert mq_timedreceive(queue.fd, 8, Timespec(1, -1)) == (b"", 0)


@clause("mq_send.eintr", "mq_send(3)", "ERRORS", errno=EINTR)
def test_handler_interrupts_a_blocked_send(full, fork, signals):
    """A blocked mq_send() fails with EINTR when a signal handler without SA_RESTART runs, and sends nothing."""

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
def test_handler_interrupts_a_blocked_receive(queue, fork, signals):
    """A blocked mq_receive() fails with EINTR when a signal handler
    without SA_RESTART runs, and receives nothing later.
    """

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


@pytest.mark.parametrize("call", ["mq_send", "mq_receive"])
@clause("mq.sa_restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_call_restarts_after_a_handler_with_sa_restart(full, fork, signals, pipe, call):
    """A blocked mq_send() or mq_receive() is restarted after a signal handler with SA_RESTART."""
    wakeup = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    if call == "mq_receive":
        for _ in range(2):
            full.receive()

    def child() -> tuple[bytes, int] | None:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        set_wakeup_fd(wakeup.write_fd)
        if call == "mq_receive":
            return mq_receive(full.fd, 8)
        mq_send(full.fd, b"third")
        return None

    blocked = fork(child)
    blocked.wait_blocked(call)
    blocked.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], 5)[0], "the handler did not run"
    blocked.wait_blocked(call)
    if call == "mq_receive":
        mq_send(full.fd, b"here")
        assert blocked.result() == (b"here", 0)
    else:
        full.receive()
        blocked.result()
        assert full.attributes.curmsgs == 2
