"""msgop(2): sending: valid messages, the capacity of a queue, the status of the queue."""

from __future__ import annotations

import os
import time
from ctypes import addressof, c_long, c_size_t, create_string_buffer, memset, sizeof
from errno import EAGAIN, EFAULT, EIDRM, EINVAL

import pytest

from pytest_ipc import Need, clause, disputed, fails_with, untested
from pytest_ipc.kernel import IPC_NOWAIT, errno_name, msgctl_limits, msgsnd, msgsnd_raw

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("message_limits")


LONG_MAX = 2 ** (8 * sizeof(c_long) - 1) - 1
NEGATIVE = 2 ** (8 * sizeof(c_size_t)) - 1  # -1 as a size_t


@clause("msgsnd.enqueue-updates", "msgop(2)", "msgsnd()")
def test_msgsnd_updates_the_status(sysv_msg):
    """msgsnd() increments msg_qnum and sets msg_lspid to the caller
    and msg_stime to the current time; msg_lrpid and msg_rtime stay 0.
    """
    queue = sysv_msg()
    before = int(time.time()) - 1
    msgsnd(queue.id, 1, b"text")
    ds = queue.stat()
    assert (ds.qnum, ds.lspid, ds.lrpid, ds.rtime) == (1, os.getpid(), 0, 0)
    assert before <= ds.stime <= time.time()
    msgsnd(queue.id, 1, b"text")
    assert queue.stat().qnum == 2


@clause("msgsnd.cbytes", "msgctl(2)", "msg_cbytes")
def test_cbytes_counts_the_texts(sysv_msg):
    """msg_cbytes is the sum of the lengths of the texts in the queue."""
    queue, found = sysv_msg(), []
    for size in (10, 0, 33):
        msgsnd(queue.id, 7, bytes(size))
        found.append(queue.stat().cbytes)
    assert found == [10, 10, 43]


@clause("msgsnd.mtype-positive", "msgop(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("type", [0, -1, -LONG_MAX - 1], ids=["0", "-1", "LONG_MIN"])
def test_type_below_one_fails(sysv_msg, type):
    """msgsnd() fails with EINVAL for a type of 0 or less, and sends nothing."""
    queue = sysv_msg()
    with fails_with(EINVAL):
        msgsnd(queue.id, type, b"text", IPC_NOWAIT)
    assert queue.stat().qnum == 0


@clause("msgsnd.mtype-largest", "msgop(2)", "DESCRIPTION")
def test_every_positive_long_is_a_type(sysv_msg):
    """msgsnd() accepts any positive long as type, which msgrcv() returns unchanged."""
    queue = sysv_msg()
    types = [1, 2**31 - 1, LONG_MAX - 1, LONG_MAX]
    for type in types:
        msgsnd(queue.id, type, b"")
    assert [take(queue, type).type for type in types] == types


@clause("msgsnd.size-negative", "msgop(2)", "ERRORS", errno=EINVAL)
def test_negative_size_fails(sysv_msg):
    """msgsnd() fails with EINVAL for a size that is negative as a signed number, and sends nothing."""
    queue = sysv_msg()
    buffer = create_string_buffer(bytes(c_long(1)) + b"text")
    with fails_with(EINVAL):
        msgsnd_raw(queue.id, addressof(buffer), NEGATIVE, IPC_NOWAIT)
    assert queue.stat().qnum == 0


@clause("msgsnd.size-over-msgmax", "msgop(2)", "ERRORS", errno=EINVAL)
def test_size_above_msgmax_fails(sysv_msg):
    """msgsnd() succeeds with a text of MSGMAX bytes, and fails with EINVAL for one byte more."""
    queue, limits = sysv_msg(), msgctl_limits()
    if limits.msgmax > min(queue.stat().qbytes, 1 << 20):
        untested(Need.MACHINE_LIMITS, f"MSGMAX is {limits.msgmax} here, more than a queue holds or a test should send")
    with fails_with(EINVAL):
        msgsnd(queue.id, 1, bytes(limits.msgmax + 1), IPC_NOWAIT)
    assert queue.stat().qnum == 0
    msgsnd(queue.id, 1, bytes(limits.msgmax), IPC_NOWAIT)
    assert queue.stat().cbytes == limits.msgmax


@clause("msgsnd.zero-length", "msgop(2)", "DESCRIPTION")
def test_empty_message(sysv_msg):
    """msgsnd() sends a message without text, which msgrcv() returns."""
    queue = sysv_msg()
    msgsnd(queue.id, 5, b"")
    assert queue.stat().qnum == 1
    assert take(queue) == (5, b"")


@clause("msgsnd.text-any-bytes", "msgop(2)", "msgsnd()")
def test_text_is_any_bytes(sysv_msg):
    """msgsnd() copies the given number of bytes, of any value."""
    queue = sysv_msg()
    text = create_string_buffer(bytes(c_long(3)) + bytes(range(256)))
    msgsnd_raw(queue.id, addressof(text), 256)
    memset(text, 0, len(text))  # the queue holds a copy
    assert queue.receive() == (3, bytes(range(256)))


@clause("msgsnd.full-by-bytes-exact", "msgop(2)", "msgsnd()", errno=EAGAIN)
def test_queue_is_limited_by_bytes(sysv_msg):
    """msgsnd() succeeds if the message exactly fills msg_qbytes, and fails with EAGAIN if it exceeds it by one byte."""
    queue = sysv_msg()
    queue.set_status(qbytes=100)
    msgsnd(queue.id, 1, bytes(60), IPC_NOWAIT)
    with fails_with(EAGAIN):
        msgsnd(queue.id, 1, bytes(41), IPC_NOWAIT)
    msgsnd(queue.id, 2, bytes(40), IPC_NOWAIT)
    with fails_with(EAGAIN):
        msgsnd(queue.id, 1, bytes(1), IPC_NOWAIT)
    assert contents(queue) == [(1, bytes(60)), (2, bytes(40))]


@clause("msgsnd.full-by-count", "msgop(2)", "msgsnd()", errno=EAGAIN)
def test_queue_is_limited_by_messages(sysv_msg):
    """msgsnd() fails with EAGAIN if the queue holds msg_qbytes messages, even empty ones."""
    queue = sysv_msg()
    queue.set_status(qbytes=3)
    for _ in range(3):
        msgsnd(queue.id, 1, b"", IPC_NOWAIT)
    with fails_with(EAGAIN):
        msgsnd(queue.id, 1, b"", IPC_NOWAIT)
    assert (queue.stat().qnum, queue.stat().cbytes) == (3, 0)


@clause("msgsnd.nowait-eagain", "msgop(2)", "ERRORS", errno=EAGAIN)
def test_nowait_fails_if_full(full):
    """msgsnd() with IPC_NOWAIT to a full queue fails with EAGAIN and changes nothing."""
    before = full.stat()
    with fails_with(EAGAIN):
        msgsnd(full.id, 2, b"x", IPC_NOWAIT)
    assert full.stat() == before


@clause("msgsnd.efault", "msgop(2)", "ERRORS", errno=EFAULT)
def test_invalid_buffer_fails(sysv_msg, fork):
    """msgsnd() fails with EFAULT for an inaccessible message, and sends nothing."""
    queue = sysv_msg()

    def send() -> None:
        # In a child: a libc that accesses the message itself crashes.
        with fails_with(EFAULT):
            msgsnd_raw(queue.id, 1, 1, IPC_NOWAIT)

    fork(send).result()
    assert queue.stat().qnum == 0


@clause("msgsnd.bad-id-einval", "msgop(2)", "ERRORS", errno=EINVAL)
def test_invalid_id_fails():
    """msgsnd() fails with EINVAL for a negative identifier."""
    with fails_with(EINVAL):
        msgsnd(-1, 1, b"text", IPC_NOWAIT)


@clause("msgsnd.removed-id-eidrm", "msgop(2)", "ERRORS", errno=EIDRM, disputed="EINVAL")
def test_removed_id_fails(sysv_msg):
    """msgsnd() to a removed queue fails with EIDRM."""
    queue = sysv_msg()
    queue.remove()
    with pytest.raises(OSError) as failure:
        msgsnd(queue.id, 1, b"text", IPC_NOWAIT)
    assert failure.value.errno in (EIDRM, EINVAL), errno_name(failure.value.errno)
    if failure.value.errno == EINVAL:
        disputed(manual="EIDRM", linux="fails with EINVAL unless the call was blocked at the removal")
