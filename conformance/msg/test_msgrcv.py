"""msgop(2): receiving: the message returned, a buffer too small, the status of the queue."""

from __future__ import annotations

import os
import time
from ctypes import addressof, c_long, c_size_t, create_string_buffer, sizeof
from errno import E2BIG, EFAULT, EINVAL, ENOMSG

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import IPC_NOWAIT, MSG_NOERROR, msgrcv, msgrcv_raw

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("message_limits")


NEGATIVE = 2 ** (8 * sizeof(c_size_t)) - 1  # -1 as a size_t


@clause("msgrcv.returns-size", "msgop(2)", "RETURN VALUE")
def test_msgrcv_returns_the_size(holding):
    """msgrcv() returns the number of bytes of the text, and does not write to the buffer behind them."""
    queue = holding((5, b"text"))
    buffer = create_string_buffer(b"\xff" * (sizeof(c_long) + 10), sizeof(c_long) + 10)
    assert msgrcv_raw(queue.id, addressof(buffer), 10) == 4
    assert buffer.raw == bytes(c_long(5)) + b"text" + b"\xff" * 6


@clause("msgrcv.dequeue-updates", "msgop(2)", "msgrcv()")
def test_msgrcv_updates_the_status(holding, fork):
    """msgrcv() decrements msg_qnum, and sets msg_lrpid to the caller and msg_rtime to the current time."""
    queue = holding((1, b"first"), (1, b"second"))
    before = int(time.time()) - 1
    pid = fork(lambda: (take(queue), os.getpid())[1]).result()
    ds = queue.stat()
    assert (ds.qnum, ds.cbytes, ds.lrpid, ds.lspid) == (1, len(b"second"), pid, os.getpid())
    assert before <= ds.rtime <= time.time()


@clause("msgrcv.removes-message", "msgop(2)", "msgrcv()")
def test_msgrcv_removes_the_message(holding):
    """msgrcv() removes the message from the queue: it is received only once."""
    queue = holding((1, b"only"))
    assert take(queue) == (1, b"only")
    with fails_with(ENOMSG):
        take(queue)


@clause("msgrcv.enomsg", "msgop(2)", "ERRORS", errno=ENOMSG)
def test_nowait_fails_without_a_message(holding):
    """msgrcv() with IPC_NOWAIT fails with ENOMSG if no message has the requested type, and removes none."""
    queue = holding((5, b"text"))
    for type in (4, -4):
        with fails_with(ENOMSG):
            take(queue, type)
    assert contents(queue) == [(5, b"text")]
    with fails_with(ENOMSG):
        take(queue)


@clause("msgrcv.e2big", "msgop(2)", "ERRORS", errno=E2BIG)
def test_text_larger_than_the_buffer_fails(holding):
    """msgrcv() without MSG_NOERROR fails with E2BIG if the text is one
    byte larger than the buffer, and succeeds if it just fits.
    """
    queue = holding((1, b"text"))
    with fails_with(E2BIG):
        msgrcv(queue.id, 3, 0, IPC_NOWAIT)
    assert msgrcv(queue.id, 4, 0, IPC_NOWAIT) == (1, b"text")


@clause("msgrcv.e2big-keeps-message", "msgop(2)", "msgrcv()", errno=E2BIG)
def test_failed_msgrcv_keeps_the_message(holding):
    """msgrcv() that fails with E2BIG keeps the message in its position and the status of the queue."""
    queue = holding((1, b"a long text"), (1, b"next"))
    before = queue.stat()
    with fails_with(E2BIG):
        msgrcv(queue.id, 4, 0, IPC_NOWAIT)
    assert queue.stat() == before
    assert contents(queue) == [(1, b"a long text"), (1, b"next")]


@clause("msgrcv.noerror-truncates", "msgop(2)", "MSG_NOERROR")
def test_noerror_truncates(holding):
    """msgrcv() with MSG_NOERROR truncates the text to the size of the buffer, and returns that size."""
    queue = holding((5, b"a long text"))
    buffer = create_string_buffer(b"\xff" * (sizeof(c_long) + 8), sizeof(c_long) + 8)
    assert msgrcv_raw(queue.id, addressof(buffer), 6, 0, MSG_NOERROR | IPC_NOWAIT) == 6
    assert buffer.raw == bytes(c_long(5)) + b"a long\xff\xff"


@clause("msgrcv.noerror-tail-gone", "msgop(2)", "MSG_NOERROR")
def test_truncated_part_is_lost(holding):
    """msgrcv() with MSG_NOERROR removes the whole message, the truncated part included."""
    queue = holding((1, b"a long text"), (2, b"next"))
    msgrcv(queue.id, 6, 0, MSG_NOERROR | IPC_NOWAIT)
    ds = queue.stat()
    assert (ds.qnum, ds.cbytes) == (1, len(b"next"))
    assert contents(queue) == [(2, b"next")]


@clause("msgrcv.noerror-size-zero", "msgop(2)", "MSG_NOERROR")
def test_noerror_with_size_zero(holding):
    """msgrcv() with MSG_NOERROR and size 0 removes the message, and returns its type and no text."""
    queue = holding((5, b"text"))
    assert msgrcv(queue.id, 0, 0, MSG_NOERROR | IPC_NOWAIT) == (5, b"")
    assert queue.stat().qnum == 0


@clause("msgrcv.noerror-fits", "msgop(2)", "MSG_NOERROR")
def test_noerror_keeps_a_text_that_fits(holding):
    """msgrcv() with MSG_NOERROR returns a text that fits unchanged."""
    queue = holding((5, b"text"))
    assert take(queue, flags=MSG_NOERROR) == (5, b"text")


@clause("msgrcv.size-negative", "msgop(2)", "ERRORS", errno=EINVAL)
def test_negative_size_fails(holding):
    """msgrcv() fails with EINVAL for a size that is negative as a signed number, and the message stays."""
    queue = holding((1, b"text"))
    buffer = create_string_buffer(100)
    with fails_with(EINVAL):
        msgrcv_raw(queue.id, addressof(buffer), NEGATIVE, 0, IPC_NOWAIT)
    assert contents(queue) == [(1, b"text")]


@clause("msgrcv.efault", "msgop(2)", "ERRORS", errno=EFAULT)
def test_invalid_buffer_fails(holding, fork):
    """msgrcv() fails with EFAULT for an inaccessible buffer."""
    queue = holding((1, b"text"))

    def receive() -> None:
        # In a child: a libc that accesses the buffer itself crashes.
        with fails_with(EFAULT):
            msgrcv_raw(queue.id, 1, 100, 0, IPC_NOWAIT)

    fork(receive).result()
    assert queue.exists()


@clause("msgrcv.bad-id-einval", "msgop(2)", "ERRORS", errno=EINVAL)
def test_invalid_id_fails(sysv_msg):
    """msgrcv() fails with EINVAL for a negative identifier and for that of a removed queue."""
    with fails_with(EINVAL):
        msgrcv(-1, 100, 0, IPC_NOWAIT)
    queue = sysv_msg()
    queue.remove()
    with fails_with(EINVAL):
        msgrcv(queue.id, 100, 0, IPC_NOWAIT)
