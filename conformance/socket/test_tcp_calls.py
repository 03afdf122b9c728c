"""tcp(7): what accepting, connecting, sending and receiving do with their flags, and who else has the connection."""

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
def test_accept_waits_for_a_connection(sockets, fork):
    """accept blocks until somebody connects."""
    listener = listening(sockets)
    server = fork(lambda: recv(accept4(listener.fd), 10))
    server.wait_blocked("accept")
    client = sockets.connect(listener)
    server.wait_blocked("recv")
    send(client.fd, b"hello")
    assert server.result() == b"hello"


@clause("tcp.accept-flags-not-inherited", "accept(2)", "NOTES")
def test_a_new_socket_blocks_though_its_listener_does_not(sockets):
    """O_NONBLOCK of a listener is not inherited by the sockets that it accepts."""
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
def test_how_a_connection_in_the_background_ended(sockets):
    """A socket that does not block connects in the background: it is then writable, and SO_ERROR says once how it ended."""
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
def test_a_connection_is_made_once(connection):
    """Connecting a socket that is connected fails, and the connection stays as it is."""
    client, server = connection()
    with fails_with(EISCONN):
        client.socket.connect(client.socket.getpeername())
    send(client.fd, b"still")
    assert server.receive() == b"still"


@clause("tcp.not-connected-enotconn", "recv(2)", "ERRORS", errno=ENOTCONN)
def test_without_a_connection_nothing_is_received(sockets):
    """A socket that is not connected receives nothing and has no peer."""
    alone = sockets.socket(AF_INET)
    with fails_with(ENOTCONN):
        recv(alone.fd, 1)
    with fails_with(ENOTCONN):
        getpeername(alone.fd)


@clause("tcp.msg_peek", "recv(2)", "DESCRIPTION")
def test_bytes_can_be_looked_at(connection):
    """MSG_PEEK gives the first bytes and takes none."""
    client, server = connection()
    send(client.fd, b"stream")
    assert [server.receive(3, flags=MSG_PEEK), server.receive(6, flags=MSG_WAITALL)] == [b"str", b"stream"]


@clause("tcp.msg_waitall", "recv(2)", "DESCRIPTION")
def test_all_that_was_asked_for_can_be_waited_for(connection, fork):
    """With MSG_WAITALL a receive goes on until all bytes are there that were asked for, or the stream ends."""
    client, server = connection()
    reader = fork(lambda: (recv(server.fd, 8, MSG_WAITALL), recv(server.fd, 8, MSG_WAITALL)))
    reader.wait_blocked("recv")
    send(client.fd, b"half")
    reader.wait_blocked("recv")
    send(client.fd, b"half" + b"end")
    client.shutdown(SHUT_WR)
    assert reader.result() == (b"halfhalf", b"end")


@clause("tcp.msg_oob", "tcp(7)", "Sockets API")
def test_an_urgent_byte_is_apart(connection):
    """MSG_OOB sends a byte that is not in the stream: a receive with MSG_OOB gets it, and the others end before it."""
    client, server = connection()
    send(client.fd, b"before")
    send(client.fd, b"!", MSG_OOB)
    send(client.fd, b"after")
    assert select.select([], [], [server.fd], 5)[2]
    assert recv(server.fd, 1, MSG_OOB) == b"!"
    assert [server.receive(20), server.receive(20)] == [b"before", b"after"]


@clause("tcp.oobinline", "tcp(7)", "Sockets API", errno=EINVAL)
def test_an_urgent_byte_can_be_left_in_the_stream(connection):
    """With SO_OOBINLINE the urgent byte is received where it stands in the stream, and MSG_OOB fails."""
    client, server = connection()
    server.socket.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)
    send(client.fd, b"before")
    send(client.fd, b"!", MSG_OOB)
    assert select.select([], [], [server.fd], 5)[2]
    with fails_with(EINVAL):
        recv(server.fd, 1, MSG_OOB)
    assert [server.receive(20), server.receive(20)] == [b"before", b"!"]


@clause("tcp.siocinq", "tcp(7)", "Ioctls")
def test_unread_bytes_are_counted(connection, unread):
    """SIOCINQ gives the number of bytes that have come and were not received."""
    client, server = connection()
    send(client.fd, b"12345")
    server.receive(5, flags=MSG_PEEK | MSG_WAITALL)
    assert unread(server) == 5
    server.receive(2)
    assert unread(server) == 3


@clause("tcp.siocinq-listening-einval", "tcp(7)", "Ioctls", errno=EINVAL)
def test_a_listener_has_no_unread_bytes(sockets, unread):
    """SIOCINQ fails on a socket that listens."""
    with fails_with(EINVAL):
        unread(listening(sockets))


@clause("tcp.options-default", "tcp(7)", OPTIONS)
def test_an_option_is_as_it_was_set(connection):
    """TCP_NODELAY is off at first, can be set and taken back, and is each socket's own."""
    client, server = connection()
    values = [client.socket.getsockopt(IPPROTO_TCP, TCP_NODELAY)]
    for on in (1, 0):
        client.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, on)
        values.append(client.socket.getsockopt(IPPROTO_TCP, TCP_NODELAY))
        assert server.socket.getsockopt(IPPROTO_TCP, TCP_NODELAY) == 0
    assert [bool(value) for value in values] == [False, True, False]


@clause("tcp.fork-shared-description", "fork(2)", "DESCRIPTION")
def test_the_end_comes_after_every_copy_is_closed(connection, fork):
    """After a fork a connection ends only when both processes have closed it."""
    client, server = connection()

    def life() -> None:
        send(client.fd, b"child")
        pause()

    child = fork(life)
    assert server.receive(10) == b"child"
    client.close()
    with fails_with(EAGAIN):
        recv(server.fd, 1, MSG_DONTWAIT)
    child.end()
    assert server.receive(1) == b""


@clause("tcp.killed-process-ends-connections", "close(2)", "DESCRIPTION")
def test_a_killed_process_ends_its_connections(connection, fork):
    """The connections of a process that is killed end, as if it had closed them."""
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
def test_without_blocking_a_receive_fails(connection):
    """With O_NONBLOCK a receive fails at once with EAGAIN when nothing has come."""
    _client, server = connection()
    fcntl.fcntl(server.fd, fcntl.F_SETFL, fcntl.fcntl(server.fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    with fails_with(EAGAIN):
        recv(server.fd, 1)


@clause("tcp.descriptor-passed", "unix(7)", "Ancillary messages")
def test_a_connection_can_be_handed_over(connection, sockets, fork):
    """A connection can be sent to another process, which goes on with it where the first one stopped."""
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
