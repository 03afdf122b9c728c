"""unix(7), send(2), recv(2): when the other side has gone, and when a signal comes in between."""

from __future__ import annotations

import os
from errno import EAGAIN, ECONNRESET, EINTR, EPIPE
from signal import SIGPIPE, SIGUSR1, pause
from socket import MSG_DONTWAIT, MSG_NOSIGNAL, SO_ERROR, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SA_RESTART, accept4, recv, send

CONNECTED = pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_SEQPACKET], ids=["stream", "seqpacket"])
HANDLERS = "Interruption of system calls and library functions by signal handlers"


@clause("unix.sigpipe-default-kills", "unix(7)", "ERRORS")
def test_sigpipe_ends_a_sender_without_receiver(sockets, fork, signals):
    """Sending on a stream whose other end is closed raises SIGPIPE, which ends a process that has not arranged otherwise."""
    left, right = sockets.pair()
    right.close()

    def life() -> None:
        signals.default(SIGPIPE)
        signals.unblock(SIGPIPE)
        send(left.fd, b"x")

    assert fork(life).wait() == -SIGPIPE


@CONNECTED
@clause("unix.epipe-sigpipe-nosignal", "send(2)", "DESCRIPTION", errno=EPIPE)
def test_msg_nosignal_leaves_only_the_error(sockets, signals, type):
    """Sending where nobody can receive fails with EPIPE and a SIGPIPE, and with MSG_NOSIGNAL without the signal."""
    left, right = sockets.pair(type)
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    right.close()
    with fails_with(EPIPE):
        send(left.fd, b"x", MSG_NOSIGNAL)
    assert caught.count == 0
    with fails_with(EPIPE):
        send(left.fd, b"x")
    if type == SOCK_STREAM:
        caught.wait(1)
    assert caught.count == (type == SOCK_STREAM)


@clause("unix.econnreset-unread", "unix(7)", "ERRORS", errno=ECONNRESET)
def test_unread_data_at_the_end_is_a_reset(sockets):
    """When a stream is closed with data unread in it, the other side's receive fails with ECONNRESET once, then gives the end."""
    left, right = sockets.pair()
    send(left.fd, b"never read")
    right.close()
    with fails_with(ECONNRESET):
        recv(left.fd, 1)
    assert recv(left.fd, 1) == b""


@CONNECTED
@clause("unix.eof-after-data", "recv(2)", "RETURN VALUE")
def test_the_end_comes_after_the_data(sockets, type):
    """When the other side has closed, what it sent is received first; then every receive gives the end."""
    left, right = sockets.pair(type)
    send(left.fd, b"last words")
    left.close()
    assert [recv(right.fd, 20) for _ in range(3)] == [b"last words", b"", b""]


@clause("unix.fork-shared-description", "fork(2)", "DESCRIPTION")
def test_the_end_comes_after_every_copy_is_closed(sockets, fork):
    """After a fork both processes send into one stream, and its end comes only when both have closed their end."""
    left, right = sockets.pair()

    def life() -> None:
        send(left.fd, b"child")
        pause()

    child = fork(life)
    assert recv(right.fd, 10) == b"child"
    send(left.fd, b"parent")
    left.close()
    assert recv(right.fd, 10) == b"parent"
    with fails_with(EAGAIN):
        recv(right.fd, 10, MSG_DONTWAIT)
    child.end()
    assert recv(right.fd, 10) == b""


@clause("unix.fork-readers-share", "fork(2)", "DESCRIPTION")
def test_processes_share_one_stream(sockets, fork):
    """Processes that share a stream take from one queue: each byte is received by one of them."""
    left, right = sockets.pair()
    send(left.fd, b"abcdef")
    got = [fork(recv, right.fd, 2).result() for _ in range(2)] + [recv(right.fd, 2)]
    assert got == [b"ab", b"cd", b"ef"]


@CONNECTED
@clause("unix.blocked-receiver-gets-end", "recv(2)", "RETURN VALUE")
def test_a_blocked_receiver_learns_of_the_end(sockets, fork, type):
    """A receiver that is blocked gets the end when the last copy of the other end is closed."""
    left, right = sockets.pair(type)

    def life() -> bytes:
        left.close()
        return recv(right.fd, 1)

    reader = fork(life)
    reader.wait_blocked("recv")
    left.close()
    assert reader.result() == b""


@clause("unix.recv-eintr", "signal(7)", HANDLERS, errno=EINTR)
def test_a_handler_interrupts_a_receive(sockets, fork, signals):
    """A receive that waits fails with EINTR when a handler without SA_RESTART has run."""
    _left, right = sockets.pair()

    def life() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            recv(right.fd, 1)

    reader = fork(life)
    reader.wait_blocked("recv")
    reader.signal(SIGUSR1)
    reader.result()


@clause("unix.recv-restarts", "signal(7)", HANDLERS)
def test_a_receive_goes_on_after_a_handler_with_restart(sockets, fork, signals, pipe):
    """A receive that waits goes on waiting when a handler with SA_RESTART has run, and gives the data that come then."""
    left, right = sockets.pair()
    told = pipe()

    def life() -> bytes:
        import signal

        os.set_blocking(told.write_fd, False)
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(told.write_fd)
        return recv(right.fd, 10)

    reader = fork(life)
    reader.wait_blocked("recv")
    reader.signal(SIGUSR1)
    assert told.read(1) == bytes([SIGUSR1])
    send(left.fd, b"data")
    assert reader.result() == b"data"


@clause("unix.so_error-once", "socket(7)", "SO_ERROR")
def test_so_error_gives_an_error_once(sockets):
    """SO_ERROR gives the error that is pending at a socket, ECONNRESET of a peer that had unread data, and clears it."""
    left, right = sockets.pair()
    send(left.fd, b"unread")
    right.close()
    told = [left.socket.getsockopt(SOL_SOCKET, SO_ERROR) for _ in range(2)]
    assert told == [ECONNRESET, 0]
    assert recv(left.fd, 1) == b""


@clause("unix.accept-eintr", "accept(2)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_an_accept(sockets, fork, signals):
    """An accept that waits fails with EINTR when a handler without SA_RESTART has run, and the listener stays usable."""
    listener = sockets.listen_unix()

    def life() -> bool:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            accept4(listener.fd)
        return accept4(listener.fd) > 2

    server = fork(life)
    server.wait_blocked("accept")
    server.signal(SIGUSR1)
    server.wait_blocked("accept")
    sockets.connect(listener)
    assert server.result()
