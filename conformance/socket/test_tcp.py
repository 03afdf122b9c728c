"""tcp(7), socket(7): streams over the loopback device, their end, and sharing a port."""

from __future__ import annotations

import os
import select
import struct
from errno import (
    EADDRINUSE,
    ECONNREFUSED,
    ECONNRESET,
    EPIPE,
)
from signal import SIGPIPE
from socket import (
    AF_INET,
    AF_INET6,
    MSG_NOSIGNAL,
    MSG_PEEK,
    SHUT_WR,
    SO_LINGER,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOL_SOCKET,
)

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import send

from .conftest import listening

OPTIONS = "Socket options"


@pytest.mark.parametrize("family", [AF_INET, AF_INET6], ids=["ipv4", "ipv6"])
@clause("tcp.stream-bytes", "tcp(7)", "DESCRIPTION")
def test_stream_delivers_bytes_in_order(connection, fork, family):
    """A TCP stream delivers all bytes in order and preserves no record boundaries."""
    client, server = connection(family)
    data = os.urandom(300_000)

    def life() -> None:
        for start in range(0, len(data), 7001):
            client.socket.sendall(data[start : start + 7001])

    sender = fork(life)
    received = b""
    while len(received) < len(data):
        received += server.receive(10_000)
    sender.result()
    assert received == data


@clause("tcp.econnrefused", "connect(2)", "ERRORS", errno=ECONNREFUSED)
def test_connect_to_port_without_listener_fails(sockets):
    """connect() fails with ECONNREFUSED if no socket listens on the port, even if one is bound to it."""
    bound = listening(sockets)
    free = bound.address
    bound.close()
    taken = sockets.socket(AF_INET)
    taken.socket.bind(free)
    with fails_with(ECONNREFUSED):
        sockets.socket(AF_INET).socket.connect(free)


@clause("tcp.accept-peer-address", "accept(2)", "DESCRIPTION")
def test_peer_address_is_address_of_other_side(connection):
    """The peer address of each side of a connection is the local address of the other side."""
    client, server = connection()
    assert (client.socket.getpeername(), server.socket.getpeername()) == (server.address, client.address)


@clause("tcp.half-close", "shutdown(2)", "DESCRIPTION")
def test_shut_wr_ends_one_direction(connection):
    """After shutdown() with SHUT_WR the peer receives the sent data and then end-of-file, and can still send."""
    client, server = connection()
    send(client.fd, b"request")
    client.shutdown(SHUT_WR)
    assert [server.receive(10), server.receive(10)] == [b"request", b""]
    send(server.fd, b"response")
    assert client.receive(10) == b"response"


@clause("tcp.shutdown-write-epipe", "send(2)", "ERRORS", errno=EPIPE)
def test_send_after_shut_wr_fails(connection, signals):
    """send() after shutdown() with SHUT_WR fails with EPIPE and raises SIGPIPE; with MSG_NOSIGNAL it raises no
    signal.
    """
    client, _server = connection()
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    client.shutdown(SHUT_WR)
    with fails_with(EPIPE):
        send(client.fd, b"x", MSG_NOSIGNAL)
    assert caught.count == 0
    with fails_with(EPIPE):
        send(client.fd, b"x")
    caught.wait(1)


@clause("tcp.eof-after-data", "recv(2)", "RETURN VALUE")
def test_end_of_file_follows_data(connection):
    """After the peer has closed the connection its data is received first; then every recv() returns 0."""
    client, server = connection()
    send(client.fd, b"last words")
    client.close()
    assert [server.receive(20) for _ in range(3)] == [b"last words", b"", b""]


@clause("tcp.reset-by-unread-data", "send(2)", "ERRORS", errno=ECONNRESET)
def test_close_with_unread_data_resets(connection):
    """If one side closes with unread data, the connection is reset and recv() of the other side fails with
    ECONNRESET.
    """
    client, server = connection()
    send(client.fd, b"never read")
    assert server.receive(1, flags=MSG_PEEK) == b"n"  # it has arrived
    server.close()
    with fails_with(ECONNRESET):
        client.receive(1)
    assert client.receive(1) == b"", "a reset must be reported once"


@clause("tcp.linger-zero-reset", "socket(7)", "SO_LINGER", errno=ECONNRESET)
def test_linger_time_of_zero_resets(connection):
    """Closing a socket with SO_LINGER and a time of 0 resets the connection: recv() of the peer fails with
    ECONNRESET.
    """
    client, server = connection()
    client.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with fails_with(ECONNRESET):
        server.receive(1)


@clause("tcp.epipe-after-reset", "send(2)", "ERRORS", errno=EPIPE)
def test_send_after_reset_fails(connection):
    """send() fails with EPIPE after a reset has been reported."""
    client, server = connection()
    client.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with fails_with(ECONNRESET):
        server.receive(1)
    with fails_with(EPIPE):
        send(server.fd, b"x", MSG_NOSIGNAL)


@clause("tcp.eaddrinuse", "ip(7)", "ERRORS", errno=EADDRINUSE)
def test_bind_to_listening_port_fails(sockets):
    """bind() fails with EADDRINUSE if another socket listens on the address and port."""
    listener = listening(sockets)
    with fails_with(EADDRINUSE):
        sockets.socket(AF_INET).socket.bind(listener.address)


def closed_first_by_the_server(sockets, reuse: int) -> tuple[str, int]:
    """Return an address whose only remaining socket is a connection in TIME_WAIT."""
    server = sockets.socket(AF_INET)
    server.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, reuse)
    server.socket.bind(("127.0.0.1", 0))
    server.socket.listen()
    address: tuple[str, int] = server.address
    client = sockets.connect(address)
    accepted = server.socket.accept()[0]
    accepted.close()
    assert client.receive(1) == b""
    client.close()
    server.close()
    return address


@clause("tcp.time-wait-eaddrinuse", "ip(7)", "ERRORS", errno=EADDRINUSE)
def test_bind_during_time_wait_fails(sockets):
    """bind() without SO_REUSEADDR fails with EADDRINUSE for the port of a connection that the server has just
    closed.
    """
    address = closed_first_by_the_server(sockets, 1)
    with fails_with(EADDRINUSE):
        sockets.socket(AF_INET).socket.bind(address)


@clause("tcp.reuseaddr", "socket(7)", "SO_REUSEADDR")
def test_so_reuseaddr_permits_bind_during_time_wait(sockets):
    """bind() with SO_REUSEADDR succeeds for the port of a connection that has just ended."""
    address = closed_first_by_the_server(sockets, 1)
    server = sockets.socket(AF_INET)
    server.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    server.socket.bind(address)
    server.socket.listen()
    sockets.connect(address)


@clause("tcp.reuseaddr-not-while-listening", "socket(7)", "SO_REUSEADDR", errno=EADDRINUSE)
def test_so_reuseaddr_does_not_permit_second_listener(sockets):
    """bind() with SO_REUSEADDR fails with EADDRINUSE if another socket listens on the port."""
    first, second = sockets.socket(AF_INET), sockets.socket(AF_INET)
    for each in (first, second):
        each.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    first.socket.bind(("127.0.0.1", 0))
    first.socket.listen()
    with fails_with(EADDRINUSE):
        second.socket.bind(first.address)


@clause("tcp.reuseport", "socket(7)", "SO_REUSEPORT", since="3.9")
def test_so_reuseport_shares_port(sockets):
    """Several sockets with SO_REUSEPORT can listen on one port; bind() of a socket without it fails with EADDRINUSE."""
    first, second, third = (sockets.socket(AF_INET) for _ in range(3))
    for each in (first, second):
        each.socket.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        each.socket.bind(first.address if each is second else ("127.0.0.1", 0))
        each.socket.listen()
    with fails_with(EADDRINUSE):
        third.socket.bind(first.address)
    sockets.connect(first.address)
    poll = select.poll()
    for each in (first, second):
        poll.register(each.fd, select.POLLIN)
    assert len(poll.poll(5000)) == 1, "exactly one socket must have the connection"
