"""msgop(2): MSG_COPY, by which a message is looked at and stays. Kernels without CONFIG_CHECKPOINT_RESTORE do not have it."""

from __future__ import annotations

from errno import EINVAL, ENOMSG

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, msgrcv

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("room_for_messages")


@clause("msgrcv.copy-nondestructive", "msgop(2)", "MSG_COPY", since="3.8")
def test_copy_takes_nothing_away(holding):
    """MSG_COPY gives a copy of the message at a position, counted from 0 and whatever its type, and all messages stay."""
    sent = [(5, b"one"), (1, b"two"), (9, b"three")]
    queue = holding(*sent)
    assert [take(queue, position, MSG_COPY) for position in (2, 0, 1, 0)] == [sent[2], sent[0], sent[1], sent[0]]
    assert contents(queue) == sent


@clause("msgrcv.copy-no-stat-change", "msgop(2)", "MSG_COPY", since="3.8")
def test_copy_is_not_entered_in_the_books(holding):
    """A copy counts as nothing received: the messages, the last receiver and the time of receiving stay as they are."""
    queue = holding((1, b"text"))
    before = queue.stat()
    take(queue, 0, MSG_COPY)
    assert queue.stat() == before
    assert (before.qnum, before.lrpid, before.rtime) == (1, 0, 0)


@clause("msgrcv.copy-beyond-enomsg", "msgop(2)", "ERRORS", errno=ENOMSG, since="3.8")
def test_there_is_no_copy_beyond_the_end(holding):
    """With MSG_COPY a position behind the last message has nothing, and so has every position of an empty queue."""
    queue = holding((1, b"one"), (1, b"two"))
    with fails_with(ENOMSG):
        take(queue, 2, MSG_COPY)
    assert len(contents(queue)) == 2
    with fails_with(ENOMSG):
        take(queue, 0, MSG_COPY)


@clause("msgrcv.copy-without-nowait-einval", "msgop(2)", "ERRORS", errno=EINVAL, since="3.14")
def test_copy_needs_nowait(holding):
    """MSG_COPY without IPC_NOWAIT is refused."""
    queue = holding((1, b"text"))
    take(queue, 0, MSG_COPY)  # ENOSYS, where this kernel has no copies at all
    with fails_with(EINVAL):
        msgrcv(queue.id, 100, 0, MSG_COPY)
    assert contents(queue) == [(1, b"text")]


@clause("msgrcv.copy-except-einval", "msgop(2)", "ERRORS", errno=EINVAL, since="3.14")
def test_copy_and_except_exclude_each_other(holding):
    """MSG_COPY together with MSG_EXCEPT is refused: one takes the type for a position, the other for a type."""
    queue = holding((1, b"text"), (2, b"more"))
    take(queue, 0, MSG_COPY)  # ENOSYS, where this kernel has no copies at all
    with fails_with(EINVAL):
        msgrcv(queue.id, 100, 1, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT)
    assert len(contents(queue)) == 2


@clause(
    "msgrcv.copy-noerror-truncates",
    "msgop(2)",
    "DESCRIPTION",
    since="3.14",
    disputed="a copy into less room fails with EINVAL, MSG_NOERROR or not",
)
def test_a_copy_into_less_room(holding):
    """MSG_COPY with MSG_NOERROR copies as much of a message as there is room for."""
    queue = holding((1, b"text"))
    take(queue, 0, MSG_COPY)
    try:
        copied = msgrcv(queue.id, 2, 0, MSG_COPY | MSG_NOERROR | IPC_NOWAIT)
    except OSError as error:
        if error.errno != EINVAL or contents(queue) != [(1, b"text")]:
            raise
        disputed(manual="that MSG_NOERROR truncates", linux="refuses a copy that is longer than the room with EINVAL")
    assert copied == (1, b"te")
    assert contents(queue) == [(1, b"text")]
