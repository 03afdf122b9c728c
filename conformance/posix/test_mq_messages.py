"""mq_send(3), mq_receive(3): what goes through a queue, in which order, and when one has to wait."""

from __future__ import annotations

from errno import EAGAIN, EBADF, EINVAL, EMSGSIZE

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MQ_PRIO_MAX, mq_receive, mq_send


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
