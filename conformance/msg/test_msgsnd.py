"""msgop(2): sending. What a message may be, what a queue has room for, what is entered in its books."""

from __future__ import annotations

import os
import time
from ctypes import addressof, c_long, c_size_t, create_string_buffer, memset, sizeof
from errno import EAGAIN, EFAULT, EIDRM, EINVAL

import pytest

from pytest_ipc import clause, disputed, fails_with, untested
from pytest_ipc.kernel import IPC_NOWAIT, errno_name, msgctl_limits, msgsnd, msgsnd_raw

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("room_for_messages")


LONG_MAX = 2 ** (8 * sizeof(c_long) - 1) - 1
NEGATIVE = 2 ** (8 * sizeof(c_size_t)) - 1  # what -1 is as a size_t


@clause("msgsnd.enqueue-updates", "msgop(2)", "msgsnd()")
def test_sending_is_entered_in_the_books(sysv_msg):
    """A message that was sent counts as one more, and sets the last sender and the time of sending; nobody has received."""
    queue = sysv_msg()
    before = int(time.time()) - 1
    msgsnd(queue.id, 1, b"text")
    ds = queue.stat()
    assert (ds.qnum, ds.lspid, ds.lrpid, ds.rtime) == (1, os.getpid(), 0, 0)
    assert before <= ds.stime <= time.time()
    msgsnd(queue.id, 1, b"text")
    assert queue.stat().qnum == 2


@clause("msgsnd.cbytes", "msgctl(2)", "msg_cbytes")
def test_only_the_text_counts_as_bytes(sysv_msg):
    """The number of bytes in the queue is the sum of the texts alone."""
    queue, found = sysv_msg(), []
    for size in (10, 0, 33):
        msgsnd(queue.id, 7, bytes(size))
        found.append(queue.stat().cbytes)
    assert found == [10, 10, 43]


@clause("msgsnd.mtype-positive", "msgop(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("type", [0, -1, -LONG_MAX - 1], ids=["0", "-1", "LONG_MIN"])
def test_a_type_is_at_least_one(sysv_msg, type):
    """A message whose type is 0 or negative is refused, and nothing is put into the queue."""
    queue = sysv_msg()
    with fails_with(EINVAL):
        msgsnd(queue.id, type, b"text", IPC_NOWAIT)
    assert queue.stat().qnum == 0


@clause("msgsnd.mtype-largest", "msgop(2)", "DESCRIPTION")
def test_every_positive_long_is_a_type(sysv_msg):
    """A type may be any positive long, from 1 to the greatest, and comes out as it went in."""
    queue = sysv_msg()
    types = [1, 2**31 - 1, LONG_MAX - 1, LONG_MAX]
    for type in types:
        msgsnd(queue.id, type, b"")
    assert [take(queue, type).type for type in types] == types


@clause("msgsnd.size-negative", "msgop(2)", "ERRORS", errno=EINVAL)
def test_a_negative_size_is_refused(sysv_msg):
    """A size that is negative as a number with a sign is refused, and nothing is put into the queue."""
    queue = sysv_msg()
    buffer = create_string_buffer(bytes(c_long(1)) + b"text")
    with fails_with(EINVAL):
        msgsnd_raw(queue.id, addressof(buffer), NEGATIVE, IPC_NOWAIT)
    assert queue.stat().qnum == 0


@clause("msgsnd.size-over-msgmax", "msgop(2)", "ERRORS", errno=EINVAL)
def test_a_message_has_at_most_msgmax_bytes(sysv_msg):
    """A message may have MSGMAX bytes and not one more."""
    queue, limits = sysv_msg(), msgctl_limits()
    if limits.msgmax > min(queue.stat().qbytes, 1 << 20):
        untested(f"MSGMAX is {limits.msgmax} here, more than a queue holds or a test should send")
    with fails_with(EINVAL):
        msgsnd(queue.id, 1, bytes(limits.msgmax + 1), IPC_NOWAIT)
    assert queue.stat().qnum == 0
    msgsnd(queue.id, 1, bytes(limits.msgmax), IPC_NOWAIT)
    assert queue.stat().cbytes == limits.msgmax


@clause("msgsnd.zero-length", "msgop(2)", "DESCRIPTION")
def test_a_message_may_be_empty(sysv_msg):
    """A message without text is sent and received like any other."""
    queue = sysv_msg()
    msgsnd(queue.id, 5, b"")
    assert queue.stat().qnum == 1
    assert take(queue) == (5, b"")


@clause("msgsnd.text-any-bytes", "msgop(2)", "msgsnd()")
def test_a_text_is_any_bytes(sysv_msg):
    """The text is a copy of as many bytes as the size says, whatever they are."""
    queue = sysv_msg()
    text = create_string_buffer(bytes(c_long(3)) + bytes(range(256)))
    msgsnd_raw(queue.id, addressof(text), 256)
    memset(text, 0, len(text))  # what the sender does with its memory afterwards is nobody's business
    assert queue.receive() == (3, bytes(range(256)))


@clause("msgsnd.full-by-bytes-exact", "msgop(2)", "msgsnd()", errno=EAGAIN)
def test_a_queue_holds_its_bytes_and_not_one_more(sysv_msg):
    """A message that just fills the queue's room of msg_qbytes goes in; one that would go over it by a byte does not."""
    queue = sysv_msg()
    queue.set(qbytes=100)
    msgsnd(queue.id, 1, bytes(60), IPC_NOWAIT)
    with fails_with(EAGAIN):
        msgsnd(queue.id, 1, bytes(41), IPC_NOWAIT)
    msgsnd(queue.id, 2, bytes(40), IPC_NOWAIT)
    with fails_with(EAGAIN):
        msgsnd(queue.id, 1, bytes(1), IPC_NOWAIT)
    assert contents(queue) == [(1, bytes(60)), (2, bytes(40))]


@clause("msgsnd.full-by-count", "msgop(2)", "msgsnd()", errno=EAGAIN)
def test_a_queue_holds_as_many_messages_as_bytes(sysv_msg):
    """A queue of msg_qbytes bytes holds no more than so many messages, even empty ones."""
    queue = sysv_msg()
    queue.set(qbytes=3)
    for _ in range(3):
        msgsnd(queue.id, 1, b"", IPC_NOWAIT)
    with fails_with(EAGAIN):
        msgsnd(queue.id, 1, b"", IPC_NOWAIT)
    assert (queue.stat().qnum, queue.stat().cbytes) == (3, 0)


@clause("msgsnd.nowait-eagain", "msgop(2)", "ERRORS", errno=EAGAIN)
def test_nowait_does_not_wait_for_room(full):
    """With IPC_NOWAIT a message for which there is no room is refused at once, and the queue is as it was."""
    before = full.stat()
    with fails_with(EAGAIN):
        msgsnd(full.id, 2, b"x", IPC_NOWAIT)
    assert full.stat() == before


@clause("msgsnd.efault", "msgop(2)", "ERRORS", errno=EFAULT)
def test_a_message_that_is_no_memory_is_refused(sysv_msg, fork):
    """A message at an address that cannot be accessed is refused, and nothing is put into the queue."""
    queue = sysv_msg()

    def send() -> None:
        # In a child: a libc that looks at the message before the kernel does dies of it.
        with fails_with(EFAULT):
            msgsnd_raw(queue.id, 1, 1, IPC_NOWAIT)

    fork(send).result()
    assert queue.stat().qnum == 0


@clause("msgsnd.bad-id-einval", "msgop(2)", "ERRORS", errno=EINVAL)
def test_an_id_of_no_queue_cannot_be_sent_to():
    """A message to an identifier that no queue can have is refused."""
    with fails_with(EINVAL):
        msgsnd(-1, 1, b"text", IPC_NOWAIT)


@clause("msgsnd.removed-id-eidrm", "msgop(2)", "ERRORS", errno=EIDRM, disputed="EINVAL")
def test_a_removed_queue_cannot_be_sent_to(sysv_msg):
    """A message to a queue that has been removed is refused as such."""
    queue = sysv_msg()
    queue.remove()
    with pytest.raises(OSError) as failure:
        msgsnd(queue.id, 1, b"text", IPC_NOWAIT)
    assert failure.value.errno in (EIDRM, EINVAL), errno_name(failure.value.errno)
    if failure.value.errno == EINVAL:
        disputed(manual="EIDRM", linux="answers EINVAL, as for an id that never was, unless somebody was waiting")
