"""mq_send(3), mq_receive(3): messages, their order, and blocking."""

from __future__ import annotations

from errno import EAGAIN, EBADF, EINVAL, EMSGSIZE

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MQ_PRIO_MAX, mq_receive, mq_send


@clause("mq_send.priority-order", "mq_overview(7)", "DESCRIPTION")
def test_highest_priority_is_received_first(posix_mq):
    """mq_receive() returns messages by priority, the highest first, whatever the order of sending."""
    queue = posix_mq(maxmsg=5, msgsize=8)
    for priority in (3, 0, 32767, 7, 1):
        mq_send(queue.fd, b"%d" % priority, priority)
    received = [mq_receive(queue.fd, 8) for _ in range(5)]
    assert received == [(b"%d" % priority, priority) for priority in (32767, 7, 3, 1, 0)]


@clause("mq_send.fifo-within-priority", "mq_send(3)", "DESCRIPTION")
def test_equal_priorities_are_received_in_order(posix_mq):
    """mq_receive() returns messages of equal priority in the order of sending."""
    queue = posix_mq(maxmsg=7, msgsize=8)
    for text, priority in ((b"a", 1), (b"A", 2), (b"b", 1), (b"B", 2), (b"c", 1), (b"C", 2), (b"0", 0)):
        mq_send(queue.fd, text, priority)
    assert b"".join(mq_receive(queue.fd, 8)[0] for _ in range(7)) == b"ABCabc0"


@clause("mq_send.prio-max", "mq_overview(7)", "DESCRIPTION", errno=EINVAL)
def test_priority_above_the_maximum_fails(queue):
    """mq_send() succeeds with priority 32767 and fails with EINVAL for 32768."""
    with fails_with(EINVAL):
        mq_send(queue.fd, b"", MQ_PRIO_MAX)
    mq_send(queue.fd, b"", MQ_PRIO_MAX - 1)
    assert mq_receive(queue.fd, 8) == (b"", 32767)


@clause("mq_send.zero-length", "mq_send(3)", "DESCRIPTION")
def test_empty_message(queue):
    """mq_send() sends an empty message, which is counted and received."""
    mq_send(queue.fd, b"", 5)
    assert queue.attributes.curmsgs == 1
    assert mq_receive(queue.fd, 8) == (b"", 5)


@clause("mq_send.bytes-kept", "mq_receive(3)", "DESCRIPTION")
def test_message_is_received_unchanged(posix_mq):
    """mq_receive() returns each message whole and unchanged, with any bytes and up to mq_msgsize."""
    queue = posix_mq(maxmsg=3, msgsize=4099)
    sent = [bytes(range(256)) * 16 + b"end", b"\0" * 17, b"x"]
    for message in sent:
        mq_send(queue.fd, message)
    assert [mq_receive(queue.fd, 4099)[0] for _ in sent] == sent


@clause("mq_send.emsgsize", "mq_send(3)", "ERRORS", errno=EMSGSIZE)
def test_message_above_msgsize_fails(queue):
    """mq_send() succeeds with mq_msgsize bytes, and fails with EMSGSIZE for one byte more without sending any."""
    with fails_with(EMSGSIZE):
        mq_send(queue.fd, b"x" * 9)
    assert queue.attributes.curmsgs == 0
    mq_send(queue.fd, b"x" * 8)
    assert mq_receive(queue.fd, 8)[0] == b"x" * 8


@clause("mq_send.full-blocks", "mq_send(3)", "DESCRIPTION")
def test_send_to_full_queue_blocks(full, fork):
    """mq_send() to a full queue blocks until a message is received."""
    sender = fork(mq_send, full.fd, b"third")
    sender.wait_blocked("mq_send")
    assert mq_receive(full.fd, 8)[0] == b"first"
    sender.result()
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"second", b"third"]


@clause("mq_send.full-eagain", "mq_send(3)", "ERRORS", errno=EAGAIN)
def test_nonblocking_send_to_full_queue_fails(full):
    """mq_send() to a full queue with O_NONBLOCK fails with EAGAIN and does not change the queue."""
    full.set_blocking(False)
    with fails_with(EAGAIN):
        mq_send(full.fd, b"third", 9)
    assert [mq_receive(full.fd, 8)[0] for _ in range(2)] == [b"first", b"second"]


@clause("mq_receive.emsgsize-small-buffer", "mq_receive(3)", "ERRORS", errno=EMSGSIZE)
def test_buffer_below_msgsize_fails(queue):
    """mq_receive() with a buffer smaller than mq_msgsize fails with
    EMSGSIZE, even for a short message, and keeps the message.
    """
    queue.send(b"x")
    with fails_with(EMSGSIZE):
        mq_receive(queue.fd, 7)
    assert queue.attributes.curmsgs == 1
    assert mq_receive(queue.fd, 8) == (b"x", 0)


@clause("mq_receive.empty-blocks", "mq_receive(3)", "DESCRIPTION")
def test_receive_from_empty_queue_blocks(queue, fork):
    """mq_receive() from an empty queue blocks until a message is sent, and returns it."""
    receiver = fork(mq_receive, queue.fd, 8)
    receiver.wait_blocked("mq_receive")
    mq_send(queue.fd, b"here", 4)
    assert receiver.result() == (b"here", 4)


@clause("mq_receive.empty-eagain", "mq_receive(3)", "ERRORS", errno=EAGAIN)
def test_nonblocking_receive_from_empty_queue_fails(queue):
    """mq_receive() from an empty queue with O_NONBLOCK fails with EAGAIN."""
    queue.set_blocking(False)
    with fails_with(EAGAIN):
        mq_receive(queue.fd, 8)
    mq_send(queue.fd, b"here")
    assert mq_receive(queue.fd, 8)[0] == b"here"


@clause("mq_receive.removes-it", "mq_receive(3)", "DESCRIPTION")
def test_message_goes_to_one_receiver(queue, fork):
    """A message goes to exactly one of two blocked receivers; the other receives the next one."""
    receivers = [fork(mq_receive, queue.fd, 8) for _ in range(2)]
    for receiver in receivers:
        receiver.wait_blocked("mq_receive")
    mq_send(queue.fd, b"one")
    mq_send(queue.fd, b"two")
    assert sorted(receiver.result() for receiver in receivers) == [(b"one", 0), (b"two", 0)]


@clause("mq.ebadf", "mq_send(3)", "ERRORS", errno=EBADF)
def test_descriptor_without_queue_fails(pipe):
    """mq_send() and mq_receive() fail with EBADF for a descriptor that is not open or not of a queue."""
    ends = pipe()
    for fd in (-1, ends.read_fd, ends.write_fd):
        with fails_with(EBADF):
            mq_send(fd, b"x")
        with fails_with(EBADF):
            mq_receive(fd, 8)
