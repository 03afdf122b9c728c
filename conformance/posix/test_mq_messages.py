"""mq_send(3), mq_receive(3): what goes through a queue, in which order, and when one has to wait."""

from __future__ import annotations

import time
from errno import EAGAIN, EBADF, EINTR, EINVAL, EMSGSIZE, ETIMEDOUT
from os import O_CLOEXEC, O_NONBLOCK
from select import select
from signal import SIGUSR1, set_wakeup_fd

import pytest

from pytest_ipc import (
    MQ_PRIO_MAX,
    SA_RESTART,
    Timespec,
    clause,
    disputed,
    fails_with,
    mq_receive,
    mq_send,
    mq_timedreceive,
    mq_timedsend,
)

LONG_AGO, LATER = Timespec(1, 0), 600


def later() -> Timespec:
    """A moment that no test lives to see."""
    return Timespec.ahead(LATER, time.CLOCK_REALTIME)


@pytest.fixture
def queue(posix_mq):
    """A queue with room for two messages of up to eight bytes."""
    return posix_mq(maxmsg=2, msgsize=8)


@pytest.fixture
def full(queue):
    """The same with no room left."""
    queue.send(b"first")
    queue.send(b"second")
    return queue


@clause("mq_send.priority-order", "mq_overview(7)", "DESCRIPTION")
def test_the_highest_priority_comes_first(posix_mq):
    """Messages are received in the order of their priorities, the highest first, in whatever order they were sent."""
    queue = posix_mq(maxmsg=5, msgsize=8)
    for priority in (3, 0, 32767, 7, 1):
        mq_send(queue.fd, b"%d" % priority, priority)
    received = [mq_receive(queue.fd, 8) for _ in range(5)]
    assert received == [(b"%d" % priority, priority) for priority in (32767, 7, 3, 1, 0)]


@clause("mq_send.fifo-within-priority", "mq_send(3)", "DESCRIPTION")
def test_equal_priorities_keep_their_order(posix_mq):
    """Messages of one priority are received in the order in which they were sent, also among others."""
    queue = posix_mq(maxmsg=7, msgsize=8)
    for text, priority in ((b"a", 1), (b"A", 2), (b"b", 1), (b"B", 2), (b"c", 1), (b"C", 2), (b"0", 0)):
        mq_send(queue.fd, text, priority)
    assert b"".join(mq_receive(queue.fd, 8)[0] for _ in range(7)) == b"ABCabc0"


@clause("mq_send.prio-max", "mq_overview(7)", "DESCRIPTION", errno=EINVAL)
def test_priorities_end_at_32767(queue):
    """A message may have the priority 32767, and none above."""
    with fails_with(EINVAL):
        mq_send(queue.fd, b"", MQ_PRIO_MAX)
    mq_send(queue.fd, b"", MQ_PRIO_MAX - 1)
    assert mq_receive(queue.fd, 8) == (b"", 32767)


@clause("mq_send.zero-length", "mq_send(3)", "DESCRIPTION")
def test_a_message_may_be_empty(queue):
    """A message of no bytes is a message: it is counted, and received."""
    mq_send(queue.fd, b"", 5)
    assert queue.attributes.curmsgs == 1
    assert mq_receive(queue.fd, 8) == (b"", 5)


@clause("mq_send.bytes-kept", "mq_receive(3)", "DESCRIPTION")
def test_a_message_arrives_whole(posix_mq):
    """A message of any bytes, up to the longest, is received as it was sent, and as one."""
    queue = posix_mq(maxmsg=3, msgsize=4099)
    sent = [bytes(range(256)) * 16 + b"end", b"\0" * 17, b"x"]
    for message in sent:
        mq_send(queue.fd, message)
    assert [mq_receive(queue.fd, 4099)[0] for _ in sent] == sent


@clause("mq_send.emsgsize", "mq_send(3)", "ERRORS", errno=EMSGSIZE)
def test_a_message_has_a_greatest_length(queue):
    """A message may be as long as msgsize and not a byte longer; what is too long is not sent in part."""
    with fails_with(EMSGSIZE):
        mq_send(queue.fd, b"x" * 9)
    assert queue.attributes.curmsgs == 0
    mq_send(queue.fd, b"x" * 8)
    assert mq_receive(queue.fd, 8)[0] == b"x" * 8


@clause("mq_send.full-blocks", "mq_send(3)", "DESCRIPTION")
def test_sending_to_a_full_queue_waits(full, fork):
    """Sending to a full queue blocks until a message has been taken out, and is done then."""
    sender = fork(mq_send, full.fd, b"third")
    sender.wait_blocked("mq_send")
    assert mq_receive(full.fd, 8)[0] == b"first"
    sender.result()
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"second", b"third"]


@clause("mq_send.full-eagain", "mq_send(3)", "ERRORS", errno=EAGAIN)
def test_sending_to_a_full_queue_without_waiting(full):
    """With O_NONBLOCK sending to a full queue fails at once, and the queue is as it was."""
    full.set_blocking(False)
    with fails_with(EAGAIN):
        mq_send(full.fd, b"third", 9)
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"first", b"second"]


@clause("mq_receive.emsgsize-small-buffer", "mq_receive(3)", "ERRORS", errno=EMSGSIZE)
def test_the_buffer_must_hold_the_longest_message(queue):
    """A buffer smaller than msgsize is refused though the message would fit, and the message stays."""
    queue.send(b"x")
    with fails_with(EMSGSIZE):
        mq_receive(queue.fd, 7)
    assert queue.attributes.curmsgs == 1
    assert mq_receive(queue.fd, 8) == (b"x", 0)


@clause("mq_receive.empty-blocks", "mq_receive(3)", "DESCRIPTION")
def test_receiving_from_an_empty_queue_waits(queue, fork):
    """Receiving from an empty queue blocks until a message comes, and gives that one."""
    receiver = fork(mq_receive, queue.fd, 8)
    receiver.wait_blocked("mq_receive")
    mq_send(queue.fd, b"here", 4)
    assert receiver.result() == (b"here", 4)


@clause("mq_receive.empty-eagain", "mq_receive(3)", "ERRORS", errno=EAGAIN)
def test_receiving_from_an_empty_queue_without_waiting(queue):
    """With O_NONBLOCK receiving from an empty queue fails at once."""
    queue.set_blocking(False)
    with fails_with(EAGAIN):
        mq_receive(queue.fd, 8)
    mq_send(queue.fd, b"here")
    assert mq_receive(queue.fd, 8)[0] == b"here"


@clause("mq_receive.removes-it", "mq_receive(3)", "DESCRIPTION")
def test_a_message_is_received_once(queue, fork):
    """Of two processes that wait, a message goes to one; the other waits on for the next."""
    receivers = [fork(mq_receive, queue.fd, 8) for _ in range(2)]
    for receiver in receivers:
        receiver.wait_blocked("mq_receive")
    mq_send(queue.fd, b"one")
    mq_send(queue.fd, b"two")
    assert sorted(receiver.result() for receiver in receivers) == [(b"one", 0), (b"two", 0)]


@clause("mq.ebadf", "mq_send(3)", "ERRORS", errno=EBADF)
def test_what_is_no_queue_is_refused(pipe):
    """Neither a descriptor that is not open nor one of something else can be sent to or received from."""
    ends = pipe()
    for fd in (-1, ends.read_fd, ends.write_fd):
        with fails_with(EBADF):
            mq_send(fd, b"x")
        with fails_with(EBADF):
            mq_receive(fd, 8)


# With a time limit.


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
