"""mq_getattr(3), mq_setattr(3): what a queue tells of itself, and the one thing that can be changed."""

from __future__ import annotations

from errno import EAGAIN, EBADF, EINVAL
from os import O_APPEND, O_NONBLOCK, O_RDWR

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MqAttr, mq_close, mq_getattr, mq_open, mq_receive, mq_send, mq_setattr


@pytest.fixture
def queue(posix_mq):
    """A queue with room for three messages of up to eight bytes."""
    return posix_mq(maxmsg=3, msgsize=8)


@clause("mq_getattr.curmsgs", "mq_getattr(3)", "DESCRIPTION")
def test_the_messages_are_counted(queue):
    """The count of messages is that of those in the queue now."""
    counts = [mq_getattr(queue.fd).curmsgs]
    for _ in range(3):
        mq_send(queue.fd, b"x")
        counts.append(mq_getattr(queue.fd).curmsgs)
    for _ in range(3):
        mq_receive(queue.fd, 8)
        counts.append(mq_getattr(queue.fd).curmsgs)
    assert counts == [0, 1, 2, 3, 2, 1, 0]


@clause("mq_getattr.ebadf", "mq_getattr(3)", "ERRORS", errno=EBADF)
def test_what_is_no_queue_has_no_attributes(pipe):
    """Neither a descriptor that is not open nor one of something else has the attributes of a queue."""
    for fd in (-1, pipe().read_fd):
        with fails_with(EBADF):
            mq_getattr(fd)
        with fails_with(EBADF):
            mq_setattr(fd, MqAttr())


@clause("mq_setattr.only-nonblock", "mq_getattr(3)", "DESCRIPTION")
def test_only_nonblock_can_be_changed(queue):
    """mq_setattr sets and clears O_NONBLOCK, and ignores all other members of what it is given."""
    mq_setattr(queue.fd, MqAttr(flags=O_NONBLOCK, maxmsg=1, msgsize=1, curmsgs=5))
    assert mq_getattr(queue.fd) == MqAttr(flags=O_NONBLOCK, maxmsg=3, msgsize=8, curmsgs=0)
    with fails_with(EAGAIN):
        mq_receive(queue.fd, 8)
    mq_setattr(queue.fd, MqAttr())
    assert mq_getattr(queue.fd) == MqAttr(flags=0, maxmsg=3, msgsize=8, curmsgs=0)


@clause("mq_setattr.tells-the-old", "mq_getattr(3)", "DESCRIPTION")
def test_what_was_is_told(queue):
    """mq_setattr tells what mq_getattr would have told before."""
    mq_send(queue.fd, b"x")
    assert mq_setattr(queue.fd, MqAttr(flags=O_NONBLOCK)) == MqAttr(flags=0, maxmsg=3, msgsize=8, curmsgs=1)
    assert mq_setattr(queue.fd, MqAttr()) == MqAttr(flags=O_NONBLOCK, maxmsg=3, msgsize=8, curmsgs=1)


@pytest.mark.parametrize("flags", [O_APPEND, O_NONBLOCK | O_RDWR, -1], ids=["O_APPEND", "O_RDWR", "all bits"])
@clause("mq_setattr.einval-other-bits", "mq_getattr(3)", "ERRORS", errno=EINVAL)
def test_other_flags_are_refused(queue, flags):
    """Any flag but O_NONBLOCK is refused, and nothing is changed."""
    with fails_with(EINVAL):
        mq_setattr(queue.fd, MqAttr(flags=flags))
    assert mq_getattr(queue.fd).flags == 0


@clause("mq_setattr.one-description", "mq_getattr(3)", "DESCRIPTION")
def test_a_change_is_for_one_open_description(queue, opened_mq):
    """O_NONBLOCK belongs to the open description: who has opened the queue for himself does not see the change."""
    other = opened_mq(queue.name, O_RDWR)
    mq_setattr(other, MqAttr(flags=O_NONBLOCK))
    assert (mq_getattr(other).flags, mq_getattr(queue.fd).flags) == (O_NONBLOCK, 0)


@clause("mq_close.ebadf", "mq_close(3)", "ERRORS", errno=EBADF)
def test_a_descriptor_is_closed_once(queue):
    """A descriptor that is closed cannot be closed again, nor used; the queue goes on."""
    fd = mq_open(queue.name, O_RDWR)
    mq_close(fd)
    with fails_with(EBADF):
        mq_close(fd)
    with fails_with(EBADF):
        mq_send(fd, b"x")
    assert mq_getattr(queue.fd).curmsgs == 0
