"""epoll_ctl(2), NOTES: poll(2), select(2) and epoll(7) agree on every kind of descriptor that IPC has."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from select import EPOLLIN, EPOLLOUT, POLLIN, POLLOUT
from signal import SIGKILL, SIGUSR1
from socket import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM

import pytest

from pytest_ipc import clause, untested
from pytest_ipc.kernel import kill, pause, pidfd_open, poll

from ..socket.conftest import listening
from .conftest import Instance

READY = {"poll": True, "select": True, "epoll": True}
NOT_READY = dict.fromkeys(READY, False)


def readable(epoll: Instance, fd: int) -> dict[str, bool]:
    """Which of the three say that a descriptor can be read."""
    return {
        "poll": bool(poll({fd: POLLIN}, 0)),
        "select": bool(select.select([fd], [], [], 0)[0]),
        "epoll": reported(epoll, fd, EPOLLIN),
    }


def writable(epoll: Instance, fd: int) -> dict[str, bool]:
    """Which of the three say that a descriptor can be written."""
    return {
        "poll": bool(poll({fd: POLLOUT}, 0)),
        "select": bool(select.select([], [fd], [], 0)[1]),
        "epoll": reported(epoll, fd, EPOLLOUT),
    }


def reported(epoll: Instance, fd: int, event: int) -> bool:
    """Whether an instance reports an event of a descriptor that is added for it."""
    epoll.add(fd, event)
    try:
        return bool(epoll.ready())
    finally:
        epoll.remove(fd)


def fill(fd: int) -> None:
    """Write until there is no room."""
    os.set_blocking(fd, False)
    with suppress(BlockingIOError):
        while os.write(fd, bytes(1024)):
            pass


@clause("epoll.watches-pipes", "epoll_ctl(2)", "NOTES")
def test_pipes(epoll, pipe):
    """A pipe can be read when there are data, and written while there is room, say poll(2), select(2) and epoll(7)."""
    ends = pipe()
    assert (readable(epoll, ends.read_fd), writable(epoll, ends.write_fd)) == (NOT_READY, READY)
    fill(ends.write_fd)
    assert (readable(epoll, ends.read_fd), writable(epoll, ends.write_fd)) == (READY, NOT_READY)


@clause("epoll.watches-fifos", "epoll_ctl(2)", "NOTES")
def test_fifos(epoll, fifo):
    """A FIFO can be read when there are data, and written while there is room, say poll(2), select(2) and epoll(7)."""
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
    """A UNIX socket can be read when something has come, and written while there is room, say all three."""
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
    """A listening socket can be read when a connection waits to be accepted, say all three, and not before or after."""
    listener = sockets.listen_unix()
    fd = listener.socket.fileno()
    assert readable(epoll, fd) == NOT_READY
    sockets.connect(listener)
    assert readable(epoll, fd) == READY
    listener.accept()
    assert readable(epoll, fd) == NOT_READY


@clause("epoll.watches-tcp", "epoll_ctl(2)", "NOTES")
def test_tcp(epoll, sockets):
    """A TCP connection can be read when data have come or the peer has closed it, say all three."""
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
    """An eventfd can be read while its counter is above zero, and written while one can be added, say all three."""
    counter = eventfd()
    assert (readable(epoll, counter.fd), writable(epoll, counter.fd)) == (NOT_READY, READY)
    counter.write(2**64 - 2)
    assert (readable(epoll, counter.fd), writable(epoll, counter.fd)) == (READY, NOT_READY)
    counter.read()
    assert (readable(epoll, counter.fd), writable(epoll, counter.fd)) == (NOT_READY, READY)


@clause("epoll.watches-timerfds", "epoll_ctl(2)", "NOTES")
def test_timerfds(epoll, timerfd):
    """A timerfd can be read once its timer has run out, until that is read, say all three."""
    timer = timerfd()
    assert readable(epoll, timer.fd) == NOT_READY
    timer.set(0.000_001)
    assert poll({timer.fd: POLLIN}, 5000)
    assert readable(epoll, timer.fd) == READY
    timer.read()
    assert readable(epoll, timer.fd) == NOT_READY


@clause("epoll.watches-signalfds", "epoll_ctl(2)", "NOTES")
def test_signalfds(instance, fork, signals):
    """A signalfd can be read while one of its signals is pending, say all three."""

    def life() -> None:
        signals.block(SIGUSR1)
        source, epoll = signals.fd(SIGUSR1), instance()
        assert readable(epoll, source.fd) == NOT_READY
        kill(os.getpid(), SIGUSR1)
        assert readable(epoll, source.fd) == READY
        source.read()
        assert readable(epoll, source.fd) == NOT_READY

    fork(life).result()


@clause("epoll.watches-pidfds", "epoll_ctl(2)", "NOTES", since="5.3")
def test_pidfds(epoll, fork):
    """A pidfd can be read once its process has ended, say all three."""
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
    """A message queue's descriptor can be read when there is a message, and written while there is room, say all three."""
    queue = posix_mq(maxmsg=1, msgsize=16)
    assert (readable(epoll, queue.fd), writable(epoll, queue.fd)) == (NOT_READY, READY)
    queue.send(b"!")
    assert (readable(epoll, queue.fd), writable(epoll, queue.fd)) == (READY, NOT_READY)
    queue.receive()
    assert (readable(epoll, queue.fd), writable(epoll, queue.fd)) == (NOT_READY, READY)


@clause("epoll.watches-terminals", "epoll_ctl(2)", "NOTES")
def test_terminals(epoll):
    """A pseudoterminal can be read at one end when something was written at the other, say all three."""
    try:
        leader, follower = os.openpty()
    except OSError as error:
        untested(f"needs a pty: {error.strerror}")
    try:
        assert [readable(epoll, end) for end in (leader, follower)] == [NOT_READY, NOT_READY]
        for here, there in ((leader, follower), (follower, leader)):
            os.write(there, b"line\n")  # a terminal's other end reads lines
            assert poll({here: POLLIN}, 5000)
            assert readable(epoll, here) == READY
    finally:
        os.close(leader)
        os.close(follower)


@clause("epoll.watches-instances", "epoll(7)", "Questions and answers")
def test_instances(epoll, instance, pipe):
    """An epoll instance can be read while it has events, say all three."""
    ends, inner = pipe(), instance()
    inner.add(ends.read_fd, EPOLLIN)
    assert readable(epoll, inner.fd) == NOT_READY
    ends.write(b"!")
    assert readable(epoll, inner.fd) == READY
    ends.read(1)
    assert readable(epoll, inner.fd) == NOT_READY
