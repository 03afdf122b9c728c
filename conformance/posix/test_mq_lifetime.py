"""mq_unlink(3), mq_close(3), mq_overview(7): the lifetime of a queue, and queues shared by processes."""

from __future__ import annotations

import os
import select
import sys
from errno import EACCES, ENAMETOOLONG, ENOENT
from os import O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MqAttr, mq_close, mq_getattr, mq_open, mq_receive, mq_send, mq_setattr, mq_unlink

from ..conftest import succeeded
from ..credentials import GROUP, STRANGER

NEW = O_CREAT | O_EXCL | O_RDWR
SMALL = MqAttr(maxmsg=2, msgsize=8)


@clause("mq_unlink.open-users-continue", "mq_unlink(3)", "DESCRIPTION")
def test_unlinked_queue_stays_usable(posix_mq, fork):
    """mq_unlink() removes the name at once, and processes that have the queue open can still use it."""
    queue = posix_mq(maxmsg=2, msgsize=8)
    receiver = fork(mq_receive, queue.fd, 8)
    receiver.wait_blocked("mq_receive")
    mq_unlink(queue.name)
    with fails_with(ENOENT):
        mq_open(queue.name, O_RDWR)
    mq_send(queue.fd, b"here", 1)
    assert receiver.result() == (b"here", 1)


@clause("mq_unlink.name-is-free-again", "mq_unlink(3)", "DESCRIPTION")
def test_name_can_be_reused_after_unlink(opened_mq, mq_name):
    """mq_open() with O_CREAT after mq_unlink() creates a new queue, separate from the unlinked one."""
    first = opened_mq(mq_name, NEW, 0o600, SMALL)
    mq_send(first, b"first")
    mq_unlink(mq_name)
    second = opened_mq(mq_name, NEW, 0o600, MqAttr(maxmsg=1, msgsize=8))
    mq_send(second, b"second")
    assert (mq_receive(first, 8)[0], mq_receive(second, 8)[0]) == (b"first", b"second")


@clause("mq_unlink.enoent", "mq_unlink(3)", "ERRORS", errno=ENOENT)
def test_unlink_of_unused_name_fails(posix_mq, mq_name):
    """mq_unlink() fails with ENOENT for a name that no queue has or that is already unlinked."""
    with fails_with(ENOENT):
        mq_unlink(mq_name)
    queue = posix_mq(maxmsg=1, msgsize=8)
    mq_unlink(queue.name)
    with fails_with(ENOENT):
        mq_unlink(queue.name)


@clause("mq_unlink.enametoolong", "mq_unlink(3)", "ERRORS", errno=ENAMETOOLONG)
def test_unlink_of_long_name_fails():
    """mq_unlink() fails with ENAMETOOLONG for a name longer than the maximum."""
    with fails_with(ENAMETOOLONG):
        mq_unlink("/".ljust(257, "n"))


@clause("mq_unlink.eacces", "mq_unlink(3)", "ERRORS", errno=EACCES)
def test_unlink_by_another_user_fails(posix_mq, opened_mq, as_user):
    """mq_unlink() fails with EACCES for a user who does not own the queue, whatever its mode; the queue stays."""
    queue = posix_mq(maxmsg=1, msgsize=8)
    os.chmod(queue.fd, 0o666)

    def child() -> None:
        mq_close(mq_open(queue.name, O_RDWR))
        with fails_with(EACCES):
            mq_unlink(queue.name)

    as_user(STRANGER, GROUP, child)
    mq_send(opened_mq(queue.name, O_RDWR), b"x")
    assert queue.receive() == (b"x", 0)


@clause("mq.persistence", "mq_overview(7)", "Persistence")
def test_queue_persists_while_not_open(fork, opened_mq, mq_name):
    """A queue keeps its messages and their priorities while no process has it open."""

    def child() -> None:
        queue = mq_open(mq_name, NEW, 0o600, SMALL)
        mq_send(queue, b"low", 1)
        mq_send(queue, b"high", 2)

    fork(child).result()
    queue = opened_mq(mq_name, O_RDONLY)
    assert [mq_receive(queue, 8) for _ in range(2)] == [(b"high", 2), (b"low", 1)]


@clause("mq.fork-inherits", "mq_overview(7)", "DESCRIPTION")
def test_child_inherits_the_descriptor(posix_mq, fork):
    """A forked child sends and receives through a descriptor inherited from its parent."""
    request, reply = posix_mq(maxmsg=1, msgsize=8), posix_mq(maxmsg=1, msgsize=8)

    def respond() -> None:
        message, priority = mq_receive(request.fd, 8)
        mq_send(reply.fd, message[::-1], priority + 1)

    child = fork(respond)
    mq_send(request.fd, b"abc", 4)
    assert reply.receive(timeout=5) == (b"cba", 5)
    child.result()


@clause("mq.fork-shares-description", "mq_overview(7)", "DESCRIPTION")
def test_parent_and_child_share_the_flags(posix_mq, fork):
    """Descriptors of parent and child refer to one open description: O_NONBLOCK set by one is set for the other."""
    queue = posix_mq(maxmsg=1, msgsize=8)
    fork(mq_setattr, queue.fd, MqAttr(flags=O_NONBLOCK)).result()
    assert mq_getattr(queue.fd).flags == O_NONBLOCK


@clause("mq.exec-closes", "mq_close(3)", "NOTES")
def test_exec_closes_the_queue(posix_mq, fork):
    """execve() closes the message queue descriptors of the process."""
    queue = posix_mq(maxmsg=1, msgsize=8)
    source = (
        "import os, sys\ntry: os.fstat(int(sys.argv[1]))\nexcept OSError: sys.exit(0)\nsys.exit('it is still open')\n"
    )

    def child() -> None:
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", source, str(queue.fd)])

    succeeded(fork(child))
    mq_send(queue.fd, b"x")
    assert queue.attributes.curmsgs == 1


@clause("mq.exit-closes", "mq_close(3)", "NOTES")
def test_exit_closes_and_keeps_the_queue(fork, opened_mq, mq_name):
    """A process that terminates closes its message queues, which keep their names."""

    def child() -> None:
        mq_open(mq_name, NEW, 0o600, SMALL)

    fork(child).result()
    assert mq_getattr(opened_mq(mq_name, O_RDWR)).maxmsg == 2


@clause("mq.is-fd-pollable", "mq_overview(7)", "Linux implementation of message queue descriptors")
def test_queue_can_be_polled(posix_mq):
    """poll() and epoll_wait() report a queue as readable if it holds a message, and as writable if it is not full."""
    queue = posix_mq(maxmsg=1, msgsize=8)
    poll, epoll = select.poll(), select.epoll()
    poll.register(queue.fd, select.POLLIN | select.POLLOUT)
    epoll.register(queue.fd, select.EPOLLIN | select.EPOLLOUT)

    def ready() -> tuple[int, int]:
        ((_, by_poll),), ((_, by_epoll),) = poll.poll(0), epoll.poll(0)
        return by_poll, by_epoll

    with epoll:
        empty = ready()
        mq_send(queue.fd, b"x")
        full = ready()
        mq_receive(queue.fd, 8)
        again = ready()
    assert (empty, full, again) == ((select.POLLOUT,) * 2, (select.POLLIN,) * 2, (select.POLLOUT,) * 2)


@clause("mq.poll-wakes", "mq_overview(7)", "Linux implementation of message queue descriptors")
def test_message_wakes_a_poller(posix_mq, fork):
    """poll() blocked on a queue returns when a message is sent."""
    queue = posix_mq(maxmsg=1, msgsize=8)

    def child() -> bytes:
        poll = select.poll()
        poll.register(queue.fd, select.POLLIN)
        poll.poll(60_000)
        return mq_receive(queue.fd, 8)[0]

    poller = fork(child)
    poller.wait_blocked("poll")
    mq_send(queue.fd, b"awake")
    assert poller.result() == b"awake"
