"""tcp(7), socket(7): streams over the loopback device, how they end, and who may have which port."""

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
def test_a_stream_is_bytes_in_order(connection, fork, family):
    """What was sent arrives whole and in order, however it was cut, and keeps no boundaries."""
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
def test_nobody_answers_at_a_port_without_a_listener(sockets):
    """Connecting to a port at which nobody listens fails, also when a socket is bound to it."""
    bound = listening(sockets)
    free = bound.address
    bound.close()
    taken = sockets.socket(AF_INET)
    taken.socket.bind(free)
    with fails_with(ECONNREFUSED):
        sockets.socket(AF_INET).socket.connect(free)


@clause("tcp.accept-peer-address", "accept(2)", "DESCRIPTION")
def test_each_side_knows_the_others_address(connection):
    """Each side's peer address is the other side's own address."""
    client, server = connection()
    assert (client.socket.getpeername(), server.socket.getpeername()) == (server.address, client.address)


@clause("tcp.half-close", "shutdown(2)", "DESCRIPTION")
def test_one_direction_can_be_shut_down(connection):
    """After shutdown with SHUT_WR the other side reads what was sent and then the end, and can still send back."""
    client, server = connection()
    send(client.fd, b"request")
    client.shutdown(SHUT_WR)
    assert [server.receive(10), server.receive(10)] == [b"request", b""]
    send(server.fd, b"response")
    assert client.receive(10) == b"response"


@clause("tcp.shutdown-write-epipe", "send(2)", "ERRORS", errno=EPIPE)
def test_a_direction_that_is_shut_down_takes_nothing(connection, signals):
    """Sending after shutdown with SHUT_WR fails with EPIPE and a SIGPIPE, and with MSG_NOSIGNAL without the signal."""
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
def test_the_end_comes_after_the_data(connection):
    """When the other side has closed, what it sent is received first; then every receive gives the end."""
    client, server = connection()
    send(client.fd, b"last words")
    client.close()
    assert [server.receive(20) for _ in range(3)] == [b"last words", b"", b""]


@clause("tcp.reset-by-unread-data", "send(2)", "ERRORS", errno=ECONNRESET)
def test_unread_data_at_the_end_is_a_reset(connection):
    """When a side closes with data unread in it, the connection is reset and the other side's receive fails."""
    client, server = connection()
    send(client.fd, b"never read")
    assert server.receive(1, flags=MSG_PEEK) == b"n"  # it has arrived
    server.close()
    with fails_with(ECONNRESET):
        client.receive(1)
    assert client.receive(1) == b"", "a reset is told once"


@clause("tcp.linger-zero-reset", "socket(7)", "SO_LINGER", errno=ECONNRESET)
def test_a_linger_time_of_zero_resets(connection):
    """Closing a socket that lingers for 0 seconds does not wait for what was sent: the connection is reset."""
    client, server = connection()
    client.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with fails_with(ECONNRESET):
        server.receive(1)


@clause("tcp.epipe-after-reset", "send(2)", "ERRORS", errno=EPIPE)
def test_after_a_reset_nothing_is_sent(connection):
    """After a reset that has been told, sending fails with EPIPE."""
    client, server = connection()
    client.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with fails_with(ECONNRESET):
        server.receive(1)
    with fails_with(EPIPE):
        send(server.fd, b"x", MSG_NOSIGNAL)


@clause("tcp.eaddrinuse", "ip(7)", "ERRORS", errno=EADDRINUSE)
def test_a_port_has_one_listener(sockets):
    """Binding to an address and port at which somebody listens fails."""
    listener = listening(sockets)
    with fails_with(EADDRINUSE):
        sockets.socket(AF_INET).socket.bind(listener.address)


def closed_first_by_the_server(sockets, reuse: int) -> tuple[str, int]:
    """An address at which no socket is left but a connection that has only just ended."""
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
def test_a_port_stays_taken_for_a_while(sockets):
    """The port of a connection that its server has closed cannot be bound right away without SO_REUSEADDR."""
    address = closed_first_by_the_server(sockets, 1)
    with fails_with(EADDRINUSE):
        sockets.socket(AF_INET).socket.bind(address)


@clause("tcp.reuseaddr", "socket(7)", "SO_REUSEADDR")
def test_a_port_can_be_reused(sockets):
    """With SO_REUSEADDR a port can be bound again though a connection of it has only just ended."""
    address = closed_first_by_the_server(sockets, 1)
    server = sockets.socket(AF_INET)
    server.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    server.socket.bind(address)
    server.socket.listen()
    sockets.connect(address)


@clause("tcp.reuseaddr-not-while-listening", "socket(7)", "SO_REUSEADDR", errno=EADDRINUSE)
def test_a_port_is_not_reused_while_somebody_listens(sockets):
    """SO_REUSEADDR does not let a socket bind to a port at which another one listens."""
    first, second = sockets.socket(AF_INET), sockets.socket(AF_INET)
    for each in (first, second):
        each.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    first.socket.bind(("127.0.0.1", 0))
    first.socket.listen()
    with fails_with(EADDRINUSE):
        second.socket.bind(first.address)


@clause("tcp.reuseport", "socket(7)", "SO_REUSEPORT", since="3.9")
def test_several_sockets_can_listen_at_one_port(sockets):
    """Sockets that all have SO_REUSEPORT listen at one port; one that has it not is refused."""
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
    assert len(poll.poll(5000)) == 1, "the connection is one socket's"
