"""msgop(2): receiving. What comes out, what a buffer that is too small does, what is entered in the books."""

from __future__ import annotations

import os
import time
from ctypes import addressof, c_long, c_size_t, create_string_buffer, sizeof
from errno import E2BIG, EFAULT, EINVAL, ENOMSG

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import IPC_NOWAIT, MSG_NOERROR, msgrcv, msgrcv_raw

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("room_for_messages")


NEGATIVE = 2 ** (8 * sizeof(c_size_t)) - 1  # what -1 is as a size_t


@clause("msgrcv.returns-size", "msgop(2)", "RETURN VALUE")
def test_the_result_is_the_number_of_bytes_that_came(holding):
    """The result is the number of bytes of the text, and no byte behind them in the buffer is touched."""
    queue = holding((5, b"text"))
    buffer = create_string_buffer(b"\xff" * (sizeof(c_long) + 10), sizeof(c_long) + 10)
    assert msgrcv_raw(queue.id, addressof(buffer), 10) == 4
    assert buffer.raw == bytes(c_long(5)) + b"text" + b"\xff" * 6


@clause("msgrcv.dequeue-updates", "msgop(2)", "msgrcv()")
def test_receiving_is_entered_in_the_books(holding, fork):
    """A message that was received counts no more, and sets the last receiver and the time of receiving."""
    queue = holding((1, b"first"), (1, b"second"))
    before = int(time.time()) - 1
    pid = fork(lambda: (take(queue), os.getpid())[1]).result()
    ds = queue.stat()
    assert (ds.qnum, ds.cbytes, ds.lrpid, ds.lspid) == (1, len(b"second"), pid, os.getpid())
    assert before <= ds.rtime <= time.time()


@clause("msgrcv.removes-message", "msgop(2)", "msgrcv()")
def test_a_message_that_was_received_is_gone(holding):
    """Receiving takes the message out of the queue: it does not come twice, and leaves room for another."""
    queue = holding((1, b"only"))
    assert take(queue) == (1, b"only")
    with fails_with(ENOMSG):
        take(queue)


@clause("msgrcv.enomsg", "msgop(2)", "ERRORS", errno=ENOMSG)
def test_nowait_does_not_wait_for_a_message(holding):
    """With IPC_NOWAIT the call fails at once when the queue holds nothing of what is asked for, and takes nothing."""
    queue = holding((5, b"text"))
    for type in (4, -4):
        with fails_with(ENOMSG):
            take(queue, type)
    assert contents(queue) == [(5, b"text")]
    with fails_with(ENOMSG):
        take(queue)


@clause("msgrcv.e2big", "msgop(2)", "ERRORS", errno=E2BIG)
def test_a_text_must_fit(holding):
    """A text that is a byte longer than the buffer fails without MSG_NOERROR; one that just fits is received."""
    queue = holding((1, b"text"))
    with fails_with(E2BIG):
        msgrcv(queue.id, 3, 0, IPC_NOWAIT)
    assert msgrcv(queue.id, 4, 0, IPC_NOWAIT) == (1, b"text")


@clause("msgrcv.e2big-keeps-message", "msgop(2)", "msgrcv()", errno=E2BIG)
def test_a_text_that_does_not_fit_stays(holding):
    """A message whose text does not fit stays in the queue whole and in its place, and nothing counts as received."""
    queue = holding((1, b"a long text"), (1, b"next"))
    before = queue.stat()
    with fails_with(E2BIG):
        msgrcv(queue.id, 4, 0, IPC_NOWAIT)
    assert queue.stat() == before
    assert contents(queue) == [(1, b"a long text"), (1, b"next")]


@clause("msgrcv.noerror-truncates", "msgop(2)", "MSG_NOERROR")
def test_noerror_cuts_the_text(holding):
    """With MSG_NOERROR a text that is too long is cut to the size of the buffer, and the result is that size."""
    queue = holding((5, b"a long text"))
    buffer = create_string_buffer(b"\xff" * (sizeof(c_long) + 8), sizeof(c_long) + 8)
    assert msgrcv_raw(queue.id, addressof(buffer), 6, 0, MSG_NOERROR | IPC_NOWAIT) == 6
    assert buffer.raw == bytes(c_long(5)) + b"a long\xff\xff"


@clause("msgrcv.noerror-tail-gone", "msgop(2)", "MSG_NOERROR")
def test_what_was_cut_is_gone(holding):
    """What MSG_NOERROR has cut off is lost: the message has left the queue with all its bytes."""
    queue = holding((1, b"a long text"), (2, b"next"))
    msgrcv(queue.id, 6, 0, MSG_NOERROR | IPC_NOWAIT)
    ds = queue.stat()
    assert (ds.qnum, ds.cbytes) == (1, len(b"next"))
    assert contents(queue) == [(2, b"next")]


@clause("msgrcv.noerror-size-zero", "msgop(2)", "MSG_NOERROR")
def test_a_message_can_be_taken_without_its_text(holding):
    """With MSG_NOERROR and a size of 0 a message is taken, its type is told, and none of its text."""
    queue = holding((5, b"text"))
    assert msgrcv(queue.id, 0, 0, MSG_NOERROR | IPC_NOWAIT) == (5, b"")
    assert queue.stat().qnum == 0


@clause("msgrcv.noerror-fits", "msgop(2)", "MSG_NOERROR")
def test_noerror_leaves_what_fits(holding):
    """MSG_NOERROR changes nothing for a text that fits."""
    queue = holding((5, b"text"))
    assert take(queue, flags=MSG_NOERROR) == (5, b"text")


@clause("msgrcv.size-negative", "msgop(2)", "ERRORS", errno=EINVAL)
def test_a_negative_size_is_refused(holding):
    """A size that is negative as a number with a sign is refused, and the message stays."""
    queue = holding((1, b"text"))
    buffer = create_string_buffer(100)
    with fails_with(EINVAL):
        msgrcv_raw(queue.id, addressof(buffer), NEGATIVE, 0, IPC_NOWAIT)
    assert contents(queue) == [(1, b"text")]


@clause("msgrcv.efault", "msgop(2)", "ERRORS", errno=EFAULT)
def test_a_buffer_that_is_no_memory_is_refused(holding, fork):
    """Receiving to an address that cannot be accessed fails."""
    queue = holding((1, b"text"))

    def receive() -> None:
        # In a child: a libc that looks at the buffer before the kernel does dies of it.
        with fails_with(EFAULT):
            msgrcv_raw(queue.id, 1, 100, 0, IPC_NOWAIT)

    fork(receive).result()
    assert queue.exists()


@clause("msgrcv.bad-id-einval", "msgop(2)", "ERRORS", errno=EINVAL)
def test_an_id_of_no_queue_cannot_be_received_from(sysv_msg):
    """Receiving from an identifier that no queue can have, or from that of a queue that is gone, is refused."""
    with fails_with(EINVAL):
        msgrcv(-1, 100, 0, IPC_NOWAIT)
    queue = sysv_msg()
    queue.remove()
    with fails_with(EINVAL):
        msgrcv(queue.id, 100, 0, IPC_NOWAIT)
