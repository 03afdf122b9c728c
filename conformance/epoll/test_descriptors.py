"""epoll_ctl(2), NOTES: poll(2), select(2) and epoll(7) agree on every kind of IPC descriptor."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from select import EPOLLIN, EPOLLOUT, POLLIN, POLLOUT
from signal import SIGKILL, SIGUSR1
from socket import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM

import pytest

from pytest_ipc import Need, clause, untested
from pytest_ipc.kernel import kill, pause, pidfd_open, poll

from ..socket.conftest import listening
from .conftest import Instance

READY = {"poll": True, "select": True, "epoll": True}
NOT_READY = dict.fromkeys(READY, False)


def readable(epoll: Instance, fd: int) -> dict[str, bool]:
    """Return by call whether it reports the descriptor as readable."""
    return {
        "poll": bool(poll({fd: POLLIN}, 0)),
        "select": bool(select.select([fd], [], [], 0)[0]),
        "epoll": reported(epoll, fd, EPOLLIN),
    }


def writable(epoll: Instance, fd: int) -> dict[str, bool]:
    """Return by call whether it reports the descriptor as writable."""
    return {
        "poll": bool(poll({fd: POLLOUT}, 0)),
        "select": bool(select.select([], [fd], [], 0)[1]),
        "epoll": reported(epoll, fd, EPOLLOUT),
    }


def reported(epoll: Instance, fd: int, event: int) -> bool:
    """Return whether an instance reports the event of the descriptor, which is added for the call."""
    epoll.add(fd, event)
    try:
        return bool(epoll.ready())
    finally:
        epoll.remove(fd)


def fill(fd: int) -> None:
    """Write until the descriptor would block."""
    os.set_blocking(fd, False)
    with suppress(BlockingIOError):
        while os.write(fd, bytes(1024)):
            pass


@clause("epoll.watches-pipes", "epoll_ctl(2)", "NOTES")
def test_pipes(epoll, pipe):
    """poll(), select() and epoll_wait() report a pipe as readable if it has data, and as writable if it has space."""
    ends = pipe()
    assert (readable(epoll, ends.read_fd), writable(epoll, ends.write_fd)) == (NOT_READY, READY)
    fill(ends.write_fd)
    assert (readable(epoll, ends.read_fd), writable(epoll, ends.write_fd)) == (READY, NOT_READY)


@clause("epoll.watches-fifos", "epoll_ctl(2)", "NOTES")
def test_fifos(epoll, fifo):
    """poll(), select() and epoll_wait() report a FIFO as readable if it has data, and as writable if it has space."""
    path = fifo().path
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    try:
        assert (readable(epoll, reader), writable(epoll, writer)) == (NOT_READY, READY)
        fill(writer)
        assert (readable(epoll, reader), writable(epoll, writer)) == (READY, NOT_READY)
    finally:
        os.close(reader)
        os.close(writer)


@clause("epoll.watches-sockets", "epoll_ctl(2)", "NOTES")
@pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"])
def test_sockets(epoll, sockets, type):
    """poll(), select() and epoll_wait() report a UNIX socket as
    readable if it has data, and as writable if it has space.
    """
    left, right = sockets.pair(type)
    assert (readable(epoll, right.fd), writable(epoll, left.fd)) == (NOT_READY, READY)
    fill(left.fd)
    assert (readable(epoll, right.fd), writable(epoll, left.fd)) == (READY, NOT_READY)
    os.set_blocking(right.fd, False)
    with suppress(BlockingIOError):
        while right.socket.recv(1 << 20):
            pass
    assert (readable(epoll, right.fd), writable(epoll, left.fd)) == (NOT_READY, READY)


@clause("epoll.watches-listeners", "epoll_ctl(2)", "NOTES")
def test_listeners(epoll, sockets):
    """poll(), select() and epoll_wait() report a listening socket as readable while a connection can be accepted."""
    listener = sockets.listen_unix()
    fd = listener.socket.fileno()
    assert readable(epoll, fd) == NOT_READY
    sockets.connect(listener)
    assert readable(epoll, fd) == READY
    listener.accept()
    assert readable(epoll, fd) == NOT_READY


@clause("epoll.watches-tcp", "epoll_ctl(2)", "NOTES")
def test_tcp(epoll, sockets):
    """poll(), select() and epoll_wait() report a TCP socket as readable if it has data or the peer has closed it."""
    listener = listening(sockets)
    caller = sockets.connect(listener)
    called = listener.accept()
    assert (readable(epoll, called.fd), writable(epoll, called.fd)) == (NOT_READY, READY)
    caller.send(b"!")
    assert poll({called.fd: POLLIN}, 5000)
    assert readable(epoll, called.fd) == READY
    assert called.receive() == b"!"
    assert readable(epoll, called.fd) == NOT_READY
    caller.close()
    assert poll({called.fd: POLLIN}, 5000)
    assert readable(epoll, called.fd) == READY


@clause("epoll.watches-eventfds", "epoll_ctl(2)", "NOTES")
def test_eventfds(epoll, eventfd):
    """poll(), select() and epoll_wait() report an eventfd as readable above 0, and as writable if 1 can be added."""
    counter = eventfd()
    assert (readable(epoll, counter.fd), writable(epoll, counter.fd)) == (NOT_READY, READY)
    counter.write(2**64 - 2)
    assert (readable(epoll, counter.fd), writable(epoll, counter.fd)) == (READY, NOT_READY)
    counter.read()
    assert (readable(epoll, counter.fd), writable(epoll, counter.fd)) == (NOT_READY, READY)


@clause("epoll.watches-timerfds", "epoll_ctl(2)", "NOTES")
def test_timerfds(epoll, timerfd):
    """poll(), select() and epoll_wait() report a timerfd as readable from its expiration until it is read."""
    timer = timerfd()
    assert readable(epoll, timer.fd) == NOT_READY
    timer.set(0.000_001)
    assert poll({timer.fd: POLLIN}, 5000)
    assert readable(epoll, timer.fd) == READY
    timer.read()
    assert readable(epoll, timer.fd) == NOT_READY


@clause("epoll.watches-signalfds", "epoll_ctl(2)", "NOTES")
def test_signalfds(instance, fork, signals):
    """poll(), select() and epoll_wait() report a signalfd as readable while one of its signals is pending."""

    def child() -> None:
        signals.block(SIGUSR1)
        source, epoll = signals.fd(SIGUSR1), instance()
        assert readable(epoll, source.fd) == NOT_READY
        kill(os.getpid(), SIGUSR1)
        assert readable(epoll, source.fd) == READY
        source.read()
        assert readable(epoll, source.fd) == NOT_READY

    fork(child).result()


@clause("epoll.watches-pidfds", "epoll_ctl(2)", "NOTES", since="5.3")
def test_pidfds(epoll, fork):
    """poll(), select() and epoll_wait() report a pidfd as readable after its process has terminated."""
    child = fork(pause)
    child.wait_blocked("pause")
    fd = pidfd_open(child.pid)
    try:
        assert readable(epoll, fd) == NOT_READY
        kill(child.pid, SIGKILL)
        child.wait()
        assert readable(epoll, fd) == READY
    finally:
        os.close(fd)


@clause("epoll.watches-queues", "mq_overview(7)", "Linux implementation of message queue descriptors")
def test_queues(epoll, posix_mq):
    """poll(), select() and epoll_wait() report a message queue as
    readable if it has a message, as writable if it has space.
    """
    queue = posix_mq(maxmsg=1, msgsize=16)
    assert (readable(epoll, queue.fd), writable(epoll, queue.fd)) == (NOT_READY, READY)
    queue.send(b"!")
    assert (readable(epoll, queue.fd), writable(epoll, queue.fd)) == (READY, NOT_READY)
    queue.receive()
    assert (readable(epoll, queue.fd), writable(epoll, queue.fd)) == (NOT_READY, READY)


@clause("epoll.watches-terminals", "epoll_ctl(2)", "NOTES")
def test_terminals(epoll):
    """poll(), select() and epoll_wait() report each end of a pseudoterminal as readable after a write to the other."""
    try:
        leader, follower = os.openpty()
    except OSError as error:
        untested(Need.TERMINALS, f"needs a pty: {error.strerror}")
    try:
        assert [readable(epoll, end) for end in (leader, follower)] == [NOT_READY, NOT_READY]
        for end, other in ((leader, follower), (follower, leader)):
            os.write(other, b"line\n")  # a terminal is read by lines
            assert poll({end: POLLIN}, 5000)
            assert readable(epoll, end) == READY
    finally:
        os.close(leader)
        os.close(follower)


@clause("epoll.watches-instances", "epoll(7)", "Questions and answers")
def test_instances(epoll, instance, pipe):
    """poll(), select() and epoll_wait() report an epoll instance as readable while it has events."""
    ends, inner = pipe(), instance()
    inner.add(ends.read_fd, EPOLLIN)
    assert readable(epoll, inner.fd) == NOT_READY
    ends.write(b"!")
    assert readable(epoll, inner.fd) == READY
    ends.read(1)
    assert readable(epoll, inner.fd) == NOT_READY
