"""msgop(2): MSG_COPY, which needs a kernel with CONFIG_CHECKPOINT_RESTORE."""

from __future__ import annotations

from errno import EINVAL, ENOMSG

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, msgrcv

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("message_limits")


@clause("msgrcv.copy-nondestructive", "msgop(2)", "MSG_COPY", since="3.8")
def test_copy_keeps_all_messages(holding):
    """msgrcv() with MSG_COPY returns a copy of the message at a position counted from 0, and all messages stay."""
    sent = [(5, b"one"), (1, b"two"), (9, b"three")]
    queue = holding(*sent)
    assert [take(queue, position, MSG_COPY) for position in (2, 0, 1, 0)] == [sent[2], sent[0], sent[1], sent[0]]
    assert contents(queue) == sent


@clause("msgrcv.copy-no-stat-change", "msgop(2)", "MSG_COPY", since="3.8")
def test_copy_changes_no_status(holding):
    """msgrcv() with MSG_COPY changes neither msg_qnum, msg_lrpid nor msg_rtime."""
    queue = holding((1, b"text"))
    before = queue.stat()
    take(queue, 0, MSG_COPY)
    assert queue.stat() == before
    assert (before.qnum, before.lrpid, before.rtime) == (1, 0, 0)


@clause("msgrcv.copy-beyond-enomsg", "msgop(2)", "ERRORS", errno=ENOMSG, since="3.8")
def test_copy_beyond_the_last_fails(holding):
    """msgrcv() with MSG_COPY fails with ENOMSG for a position after the last message, and in an empty queue."""
    queue = holding((1, b"one"), (1, b"two"))
    with fails_with(ENOMSG):
        take(queue, 2, MSG_COPY)
    assert len(contents(queue)) == 2
    with fails_with(ENOMSG):
        take(queue, 0, MSG_COPY)


@clause("msgrcv.copy-without-nowait-einval", "msgop(2)", "ERRORS", errno=EINVAL, since="3.14")
def test_copy_without_nowait_fails(holding):
    """msgrcv() with MSG_COPY fails with EINVAL without IPC_NOWAIT."""
    queue = holding((1, b"text"))
    take(queue, 0, MSG_COPY)  # fails with ENOSYS on a kernel without MSG_COPY
    with fails_with(EINVAL):
        msgrcv(queue.id, 100, 0, MSG_COPY)
    assert contents(queue) == [(1, b"text")]


@clause("msgrcv.copy-except-einval", "msgop(2)", "ERRORS", errno=EINVAL, since="3.14")
def test_copy_with_except_fails(holding):
    """msgrcv() with MSG_COPY and MSG_EXCEPT fails with EINVAL."""
    queue = holding((1, b"text"), (2, b"more"))
    take(queue, 0, MSG_COPY)  # fails with ENOSYS on a kernel without MSG_COPY
    with fails_with(EINVAL):
        msgrcv(queue.id, 100, 1, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT)
    assert len(contents(queue)) == 2


@clause(
    "msgrcv.copy-noerror-truncates",
    "msgop(2)",
    "DESCRIPTION",
    since="3.14",
    disputed="a copy larger than the buffer fails with EINVAL despite MSG_NOERROR",
)
def test_copy_with_noerror_truncates(holding):
    """msgrcv() with MSG_COPY and MSG_NOERROR truncates the copy to the size of the buffer."""
    queue = holding((1, b"text"))
    take(queue, 0, MSG_COPY)
    try:
        copied = msgrcv(queue.id, 2, 0, MSG_COPY | MSG_NOERROR | IPC_NOWAIT)
    except OSError as error:
        if error.errno != EINVAL or contents(queue) != [(1, b"text")]:
            raise
        disputed(manual="truncation by MSG_NOERROR", linux="fails with EINVAL if the copy is larger than the buffer")
    assert copied == (1, b"te")
    assert contents(queue) == [(1, b"text")]
