"""unix(7), send(2), recv(2): the end of a connection, and interruption by signals."""

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
def test_sigpipe_terminates_by_default(sockets, fork, signals):
    """send() on a stream socket whose peer has closed raises SIGPIPE, which by default terminates the process."""
    left, right = sockets.pair()
    right.close()

    def life() -> None:
        signals.default(SIGPIPE)
        signals.unblock(SIGPIPE)
        send(left.fd, b"x")

    assert fork(life).wait() == -SIGPIPE


@CONNECTED
@clause("unix.epipe-sigpipe-nosignal", "send(2)", "DESCRIPTION", errno=EPIPE)
def test_msg_nosignal_suppresses_sigpipe(sockets, signals, type):
    """send() fails with EPIPE if the peer has closed, and raises SIGPIPE on a stream socket; with MSG_NOSIGNAL it
    raises no signal.
    """
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
def test_close_with_unread_data_resets(sockets):
    """If the peer of a stream socket closes with unread data, recv() fails with ECONNRESET once and then returns 0."""
    left, right = sockets.pair()
    send(left.fd, b"never read")
    right.close()
    with fails_with(ECONNRESET):
        recv(left.fd, 1)
    assert recv(left.fd, 1) == b""


@CONNECTED
@clause("unix.eof-after-data", "recv(2)", "RETURN VALUE")
def test_end_of_file_follows_data(sockets, type):
    """After the peer has closed the connection its data is received first; then every recv() returns 0."""
    left, right = sockets.pair(type)
    send(left.fd, b"last words")
    left.close()
    assert [recv(right.fd, 20) for _ in range(3)] == [b"last words", b"", b""]


@clause("unix.fork-shared-description", "fork(2)", "DESCRIPTION")
def test_connection_ends_after_last_close(sockets, fork):
    """After fork() both processes can send on a socket, and its peer gets end-of-file only when both have closed it."""
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
    child.close()
    assert recv(right.fd, 10) == b""


@clause("unix.fork-readers-share", "fork(2)", "DESCRIPTION")
def test_processes_share_receive_queue(sockets, fork):
    """Processes that share a stream socket receive from one queue: each byte is received by one of them."""
    left, right = sockets.pair()
    send(left.fd, b"abcdef")
    got = [fork(recv, right.fd, 2).result() for _ in range(2)] + [recv(right.fd, 2)]
    assert got == [b"ab", b"cd", b"ef"]


@CONNECTED
@clause("unix.blocked-receiver-gets-end", "recv(2)", "RETURN VALUE")
def test_blocked_receiver_gets_end_of_file(sockets, fork, type):
    """A blocked recv() returns 0 when the last descriptor of the peer is closed."""
    left, right = sockets.pair(type)

    def life() -> bytes:
        left.close()
        return recv(right.fd, 1)

    reader = fork(life)
    reader.wait_blocked("recv")
    left.close()
    assert reader.result() == b""


@clause("unix.recv-eintr", "signal(7)", HANDLERS, errno=EINTR)
def test_signal_handler_interrupts_recv(sockets, fork, signals):
    """A blocked recv() fails with EINTR when a signal handler without SA_RESTART runs."""
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
def test_recv_restarts_with_sa_restart(sockets, fork, signals, pipe):
    """A blocked recv() continues to wait after a signal handler with SA_RESTART has run, and returns the data that
    arrives.
    """
    left, right = sockets.pair()
    wakeup = pipe()

    def life() -> bytes:
        import signal

        os.set_blocking(wakeup.write_fd, False)
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(wakeup.write_fd)
        return recv(right.fd, 10)

    reader = fork(life)
    reader.wait_blocked("recv")
    reader.signal(SIGUSR1)
    assert wakeup.read(1) == bytes([SIGUSR1])
    send(left.fd, b"data")
    assert reader.result() == b"data"


@clause("unix.so_error-once", "socket(7)", "SO_ERROR")
def test_so_error_returns_error_once(sockets):
    """SO_ERROR returns the pending error of a socket, ECONNRESET after the peer closed with unread data, and clears
    it.
    """
    left, right = sockets.pair()
    send(left.fd, b"unread")
    right.close()
    errors = [left.socket.getsockopt(SOL_SOCKET, SO_ERROR) for _ in range(2)]
    assert errors == [ECONNRESET, 0]
    assert recv(left.fd, 1) == b""


@clause("unix.accept-eintr", "accept(2)", "ERRORS", errno=EINTR)
def test_signal_handler_interrupts_accept(sockets, fork, signals):
    """A blocked accept() fails with EINTR when a signal handler without SA_RESTART runs, and the listener stays
    usable.
    """
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
