"""mq_getattr(3), mq_setattr(3): the attributes of a queue, and O_NONBLOCK."""

from __future__ import annotations

from errno import EAGAIN, EBADF, EINVAL
from os import O_APPEND, O_NONBLOCK, O_RDWR

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MqAttr, mq_close, mq_getattr, mq_open, mq_receive, mq_send, mq_setattr


@pytest.fixture
def queue(posix_mq):
    """Create a queue with a capacity of three messages of up to eight bytes."""
    return posix_mq(maxmsg=3, msgsize=8)


@clause("mq_getattr.curmsgs", "mq_getattr(3)", "DESCRIPTION")
def test_curmsgs_counts_the_messages(queue):
    """mq_getattr() returns in mq_curmsgs the present number of messages in the queue."""
    counts = [mq_getattr(queue.fd).curmsgs]
    for _ in range(3):
        mq_send(queue.fd, b"x")
        counts.append(mq_getattr(queue.fd).curmsgs)
    for _ in range(3):
        mq_receive(queue.fd, 8)
        counts.append(mq_getattr(queue.fd).curmsgs)
    assert counts == [0, 1, 2, 3, 2, 1, 0]


@clause("mq_getattr.ebadf", "mq_getattr(3)", "ERRORS", errno=EBADF)
def test_descriptor_without_queue_fails(pipe):
    """mq_getattr() and mq_setattr() fail with EBADF for a descriptor that is not open or not of a queue."""
    for fd in (-1, pipe().read_fd):
        with fails_with(EBADF):
            mq_getattr(fd)
        with fails_with(EBADF):
            mq_setattr(fd, MqAttr())


@clause("mq_setattr.only-nonblock", "mq_getattr(3)", "DESCRIPTION")
def test_only_nonblock_can_be_changed(queue):
    """mq_setattr() sets and clears O_NONBLOCK, and ignores all other members of its argument."""
    mq_setattr(queue.fd, MqAttr(flags=O_NONBLOCK, maxmsg=1, msgsize=1, curmsgs=5))
    assert mq_getattr(queue.fd) == MqAttr(flags=O_NONBLOCK, maxmsg=3, msgsize=8, curmsgs=0)
    with fails_with(EAGAIN):
        mq_receive(queue.fd, 8)
    mq_setattr(queue.fd, MqAttr())
    assert mq_getattr(queue.fd) == MqAttr(flags=0, maxmsg=3, msgsize=8, curmsgs=0)


@clause("mq_setattr.tells-the-old", "mq_getattr(3)", "DESCRIPTION")
def test_setattr_returns_the_previous_attributes(queue):
    """mq_setattr() returns the attributes that mq_getattr() returned before the call."""
    mq_send(queue.fd, b"x")
    assert mq_setattr(queue.fd, MqAttr(flags=O_NONBLOCK)) == MqAttr(flags=0, maxmsg=3, msgsize=8, curmsgs=1)
    assert mq_setattr(queue.fd, MqAttr()) == MqAttr(flags=O_NONBLOCK, maxmsg=3, msgsize=8, curmsgs=1)


@pytest.mark.parametrize("flags", [O_APPEND, O_NONBLOCK | O_RDWR, -1], ids=["O_APPEND", "O_RDWR", "all bits"])
@clause("mq_setattr.einval-other-bits", "mq_getattr(3)", "ERRORS", errno=EINVAL)
def test_setattr_with_other_flags_fails(queue, flags):
    """mq_setattr() fails with EINVAL for any flag but O_NONBLOCK, and changes nothing."""
    with fails_with(EINVAL):
        mq_setattr(queue.fd, MqAttr(flags=flags))
    assert mq_getattr(queue.fd).flags == 0


@clause("mq_setattr.one-description", "mq_getattr(3)", "DESCRIPTION")
def test_nonblock_belongs_to_the_open_description(queue, opened_mq):
    """mq_setattr() changes O_NONBLOCK of one open description; another mq_open() of the queue has its own."""
    other = opened_mq(queue.name, O_RDWR)
    mq_setattr(other, MqAttr(flags=O_NONBLOCK))
    assert (mq_getattr(other).flags, mq_getattr(queue.fd).flags) == (O_NONBLOCK, 0)


@clause("mq_close.ebadf", "mq_close(3)", "ERRORS", errno=EBADF)
def test_closed_descriptor_fails(queue):
    """mq_close() and mq_send() fail with EBADF for a closed descriptor; the queue stays usable."""
    fd = mq_open(queue.name, O_RDWR)
    mq_close(fd)
    with fails_with(EBADF):
        mq_close(fd)
    with fails_with(EBADF):
        mq_send(fd, b"x")
    assert mq_getattr(queue.fd).curmsgs == 0
