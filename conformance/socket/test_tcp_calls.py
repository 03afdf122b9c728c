"""tcp(7): accepting, connecting, sending and receiving with their flags, and connections shared by processes."""

from __future__ import annotations

import fcntl
import os
import select
import socket
from errno import (
    EAGAIN,
    ECONNREFUSED,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENOTCONN,
)
from signal import pause
from socket import (
    AF_INET,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    SHUT_WR,
    SO_ERROR,
    SO_OOBINLINE,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
)

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import accept4, getpeername, recv, send

from .conftest import listening

OPTIONS = "Socket options"


@clause("tcp.accept-blocks", "accept(2)", "DESCRIPTION")
def test_accept_waits_for_connection(sockets, fork):
    """accept() blocks until a client connects."""
    listener = listening(sockets)
    server = fork(lambda: recv(accept4(listener.fd), 10))
    server.wait_blocked("accept")
    client = sockets.connect(listener)
    server.wait_blocked("recv")
    send(client.fd, b"hello")
    assert server.result() == b"hello"


@clause("tcp.accept-flags-not-inherited", "accept(2)", "NOTES")
def test_accepted_socket_does_not_inherit_o_nonblock(sockets):
    """A socket returned by accept() does not inherit O_NONBLOCK of the listener."""
    listener = listening(sockets)
    listener.socket.setblocking(False)
    sockets.connect(listener)
    select.select([listener.fd], [], [], 5)
    fd = accept4(listener.fd)
    blocking = os.get_blocking(fd)
    os.close(fd)
    assert blocking
    with fails_with(EAGAIN):
        accept4(listener.fd)


@clause("tcp.connect-nonblocking-so_error", "connect(2)", "ERRORS", errno=EINPROGRESS)
def test_nonblocking_connect_reports_result_in_so_error(sockets):
    """After a nonblocking connect() with EINPROGRESS the socket becomes writable, and SO_ERROR returns the result
    once.
    """
    listener = listening(sockets)
    refusing = listening(sockets)
    nowhere = refusing.address
    refusing.close()
    for address, error in ((listener.address, 0), (nowhere, ECONNREFUSED)):
        client = sockets.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
        assert client.socket.connect_ex(address) in (EINPROGRESS, error)
        assert select.select([], [client.fd], [], 5)[1]
        assert client.socket.getsockopt(SOL_SOCKET, SO_ERROR) == error
        assert client.socket.getsockopt(SOL_SOCKET, SO_ERROR) == 0


@clause("tcp.connect-eisconn", "connect(2)", "ERRORS", errno=EISCONN)
def test_second_connect_fails(connection):
    """connect() of a connected socket fails with EISCONN, and the connection persists."""
    client, server = connection()
    with fails_with(EISCONN):
        client.socket.connect(client.socket.getpeername())
    send(client.fd, b"still")
    assert server.receive() == b"still"


@clause("tcp.not-connected-enotconn", "recv(2)", "ERRORS", errno=ENOTCONN)
def test_recv_without_connection_fails(sockets):
    """recv() and getpeername() fail with ENOTCONN on a socket that is not connected."""
    alone = sockets.socket(AF_INET)
    with fails_with(ENOTCONN):
        recv(alone.fd, 1)
    with fails_with(ENOTCONN):
        getpeername(alone.fd)


@clause("tcp.msg_peek", "recv(2)", "DESCRIPTION")
def test_msg_peek_does_not_remove_data(connection):
    """recv() with MSG_PEEK returns the first bytes without removing them."""
    client, server = connection()
    send(client.fd, b"stream")
    assert [server.receive(3, flags=MSG_PEEK), server.receive(6, flags=MSG_WAITALL)] == [b"str", b"stream"]


@clause("tcp.msg_waitall", "recv(2)", "DESCRIPTION")
def test_msg_waitall_waits_for_all_bytes(connection, fork):
    """recv() with MSG_WAITALL waits until all requested bytes have arrived or the stream has ended."""
    client, server = connection()
    reader = fork(lambda: (recv(server.fd, 8, MSG_WAITALL), recv(server.fd, 8, MSG_WAITALL)))
    reader.wait_blocked("recv")
    send(client.fd, b"half")
    reader.wait_blocked("recv")
    send(client.fd, b"half" + b"end")
    client.shutdown(SHUT_WR)
    assert reader.result() == (b"halfhalf", b"end")


@clause("tcp.msg_oob", "tcp(7)", "Sockets API")
def test_urgent_byte_is_out_of_band(connection):
    """A byte sent with MSG_OOB is received with MSG_OOB and not as part of the stream, whose receives end before it."""
    client, server = connection()
    send(client.fd, b"before")
    send(client.fd, b"!", MSG_OOB)
    send(client.fd, b"after")
    assert select.select([], [], [server.fd], 5)[2]
    assert recv(server.fd, 1, MSG_OOB) == b"!"
    assert [server.receive(20), server.receive(20)] == [b"before", b"after"]


@clause("tcp.oobinline", "tcp(7)", "Sockets API", errno=EINVAL)
def test_so_oobinline_keeps_urgent_byte_in_stream(connection):
    """With SO_OOBINLINE the urgent byte is received at its place in the stream, and recv() with MSG_OOB fails with
    EINVAL.
    """
    client, server = connection()
    server.socket.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)
    send(client.fd, b"before")
    send(client.fd, b"!", MSG_OOB)
    assert select.select([], [], [server.fd], 5)[2]
    with fails_with(EINVAL):
        recv(server.fd, 1, MSG_OOB)
    assert [server.receive(20), server.receive(20)] == [b"before", b"!"]


@clause("tcp.siocinq", "tcp(7)", "Ioctls")
def test_siocinq_returns_unread_bytes(connection, unread):
    """SIOCINQ returns the number of unread bytes in the receive buffer."""
    client, server = connection()
    send(client.fd, b"12345")
    server.receive(5, flags=MSG_PEEK | MSG_WAITALL)
    assert unread(server) == 5
    server.receive(2)
    assert unread(server) == 3


@clause("tcp.siocinq-listening-einval", "tcp(7)", "Ioctls", errno=EINVAL)
def test_siocinq_of_listener_fails(sockets, unread):
    """SIOCINQ fails with EINVAL on a listening socket."""
    with fails_with(EINVAL):
        unread(listening(sockets))


@clause("tcp.options-default", "tcp(7)", OPTIONS)
def test_tcp_nodelay_can_be_set_and_cleared(connection):
    """TCP_NODELAY is off by default, can be set and cleared, and applies to one socket only."""
    client, server = connection()
    values = [client.socket.getsockopt(IPPROTO_TCP, TCP_NODELAY)]
    for on in (1, 0):
        client.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, on)
        values.append(client.socket.getsockopt(IPPROTO_TCP, TCP_NODELAY))
        assert server.socket.getsockopt(IPPROTO_TCP, TCP_NODELAY) == 0
    assert [bool(value) for value in values] == [False, True, False]


@clause("tcp.fork-shared-description", "fork(2)", "DESCRIPTION")
def test_connection_ends_after_last_close(connection, fork):
    """After fork() a connection ends only when both processes have closed it."""
    client, server = connection()

    def life() -> None:
        send(client.fd, b"child")
        pause()

    child = fork(life)
    assert server.receive(10) == b"child"
    client.close()
    with fails_with(EAGAIN):
        recv(server.fd, 1, MSG_DONTWAIT)
    child.close()
    assert server.receive(1) == b""


@clause("tcp.killed-process-ends-connections", "close(2)", "DESCRIPTION")
def test_killed_process_ends_its_connections(connection, fork):
    """When a process is killed, its connections are closed."""
    client, server = connection()

    def life() -> None:
        send(client.fd, b"alive")
        pause()

    child = fork(life)
    assert server.receive(10) == b"alive"
    client.close()
    child.signal(9)
    assert server.receive(1) == b""


@clause("tcp.nonblock-by-fcntl", "socket(7)", "Signals", errno=EAGAIN)
def test_nonblocking_recv_without_data_fails(connection):
    """recv() on a socket with O_NONBLOCK fails with EAGAIN if no data is available."""
    _client, server = connection()
    fcntl.fcntl(server.fd, fcntl.F_SETFL, fcntl.fcntl(server.fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    with fails_with(EAGAIN):
        recv(server.fd, 1)


@clause("tcp.descriptor-passed", "unix(7)", "Ancillary messages")
def test_connection_can_be_passed_to_process(connection, sockets, fork):
    """A connection passed with SCM_RIGHTS can be used by the receiving process after the sender has closed it."""
    client, server = connection()
    here, there = sockets.pair()

    def life() -> bytes:
        (end,) = there.receive_message(fds=1).fds
        with socket.socket(fileno=os.dup(end.fd)) as handed:
            handed.sendall(b"from the other")
            return handed.recv(10)

    other = fork(life)
    here.send(b".", fds=[server])
    server.close()
    assert client.receive(20) == b"from the other"
    client.send(b"thanks")
    assert other.result() == b"thanks"
