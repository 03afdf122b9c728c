"""udp(7), ip(7), ipv6(7): datagrams over the loopback device, and addresses."""

from __future__ import annotations

import socket
from errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    ECONNREFUSED,
    EDESTADDRREQ,
    EMSGSIZE,
)
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    SO_BROADCAST,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
)

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import capabilities, connect, limit, recv, send

from ..credentials import GROUP, STRANGER, become
from .conftest import listening

FAMILIES = pytest.mark.parametrize("family", [AF_INET, AF_INET6], ids=["ipv4", "ipv6"])


@FAMILIES
@clause("udp.boundaries", "udp(7)", "DESCRIPTION")
def test_a_receive_gives_one_datagram(sockets, family):
    """Each receive gives one datagram with its sender's address, and an empty datagram is one too."""
    server, client = listening(sockets, family, SOCK_DGRAM), listening(sockets, family, SOCK_DGRAM)
    for data in (b"one", b"", b"three"):
        client.send(data, to=server)
    got = [server.receive_message() for _ in range(3)]
    assert [message.data for message in got] == [b"one", b"", b"three"]
    assert {message.address for message in got} == {client.address}


@clause("udp.excess-discarded", "recv(2)", "DESCRIPTION")
def test_what_does_not_fit_is_discarded(sockets):
    """The rest of a datagram that is longer than the buffer is discarded, and MSG_TRUNC is set."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    client.send(b"0123456789", to=server)
    client.send(b"next", to=server)
    cut = server.receive_message(4)
    assert (cut.data, bool(cut.flags & MSG_TRUNC)) == (b"0123", True)
    whole = server.receive_message(4)
    assert (whole.data, bool(whole.flags & MSG_TRUNC)) == (b"next", False)


@clause("udp.msg_trunc-peek", "udp(7)", "DESCRIPTION")
def test_the_real_length_of_a_datagram_can_be_asked(sockets):
    """MSG_TRUNC gives the real length of a datagram that is longer than the buffer, and MSG_PEEK leaves it there."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    client.send(b"0123456789", to=server)
    assert server.socket.recv_into(bytearray(4), 4, MSG_PEEK | MSG_TRUNC) == 10
    assert server.receive() == b"0123456789"


@clause("udp.siocinq", "udp(7)", "Ioctls")
def test_the_next_datagrams_length_is_told(sockets, unread):
    """FIONREAD gives the length of the next datagram, and 0 when there is none."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    assert unread(server) == 0
    client.send(b"four", to=server)
    client.send(b"eleven more", to=server)
    server.receive(flags=MSG_PEEK)
    assert unread(server) == 4
    server.receive()
    assert unread(server) == 11


@clause("udp.connected-hears-its-peer-alone", "udp(7)", "DESCRIPTION")
def test_a_connected_socket_hears_nobody_else(sockets):
    """A connected socket receives datagrams from its peer and from nobody else."""
    server, peer, stranger = (listening(sockets, type=SOCK_DGRAM) for _ in range(3))
    server.socket.connect(peer.address)
    stranger.send(b"stranger", to=server)
    peer.send(b"peer", to=server)
    assert server.receive() == b"peer"
    with fails_with(EAGAIN):
        recv(server.fd, 1, MSG_DONTWAIT)


@clause("udp.connect-dissolved", "connect(2)", "DESCRIPTION")
def test_a_connection_can_be_dissolved(sockets):
    """Connecting to an address of the family AF_UNSPEC dissolves the connection: the socket hears everybody again."""
    drawn, peer, stranger = (listening(sockets, type=SOCK_DGRAM) for _ in range(3))
    address = drawn.address
    drawn.close()
    server = sockets.listen_inet(*address, type=SOCK_DGRAM)  # a port that was only drawn would be given up
    server.socket.connect(peer.address)
    connect(server.fd, bytes(16))
    stranger.send(b"stranger", to=server)
    assert server.receive() == b"stranger"
    with fails_with(EDESTADDRREQ):
        send(server.fd, b"x")


@clause("udp.econnrefused", "udp(7)", "ERRORS", errno=ECONNREFUSED)
def test_a_closed_port_is_told_to_a_connected_socket(sockets):
    """A connected socket whose datagram came to a port without a receiver fails with ECONNREFUSED in a call after that."""
    client, server = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    client.socket.connect(server.address)
    server.close()
    send(client.fd, b"x")
    with fails_with(ECONNREFUSED):
        client.receive()


@clause("udp.emsgsize", "send(2)", "ERRORS", errno=EMSGSIZE)
def test_a_datagram_has_a_longest_length(sockets):
    """A datagram may have as many bytes as an IP packet has room for, and not one more."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    longest = 65535 - 20 - 8
    with fails_with(EMSGSIZE):
        client.send(bytes(longest + 1), to=server)
    client.send(bytes(longest), to=server)
    assert len(server.receive()) == longest


@clause("udp.edestaddrreq", "send(2)", "ERRORS", errno=EDESTADDRREQ)
def test_a_datagram_needs_somewhere_to_go(sockets):
    """Sending without an address fails on a socket that is not connected."""
    client = sockets.socket(AF_INET, SOCK_DGRAM)
    with fails_with(EDESTADDRREQ):
        send(client.fd, b"x")


@clause("ip.broadcast-eacces", "ip(7)", "ERRORS", errno=EACCES)
def test_broadcasting_must_be_switched_on(sockets):
    """Sending to a broadcast address fails without SO_BROADCAST."""
    listening(sockets, type=SOCK_DGRAM)
    client = sockets.socket(AF_INET, SOCK_DGRAM)
    with fails_with(EACCES):
        client.send(b"x", to=("127.255.255.255", 9))
    client.socket.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
    client.send(b"x", to=("127.255.255.255", 9))


@clause("ip.eaddrnotavail", "ip(7)", "ERRORS", errno=EADDRNOTAVAIL)
def test_only_an_own_address_can_be_bound(sockets):
    """Binding to an address that no device of this machine has fails."""
    with fails_with(EADDRNOTAVAIL):
        sockets.socket(AF_INET).socket.bind(("203.0.113.7", 0))


@clause("ip.port-drawn", "ip(7)", "Address format")
def test_a_port_is_drawn_from_the_range(sockets):
    """A socket that is bound to port 0, or connects unbound, gets a port of ip_local_port_range that nobody has."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = map(int, file.read().split())
    except OSError as error:
        untested(f"needs /proc/sys/net/ipv4/ip_local_port_range: {error.strerror}")
    listeners = [listening(sockets) for _ in range(5)]
    ports = [each.address[1] for each in (*listeners, *map(sockets.connect, listeners))]
    assert all(low <= port <= high for port in ports)
    assert len(set(ports[:5])) == 5


@clause("ip.privileged-port-eacces", "ip(7)", "Address format", errno=EACCES)
def test_low_ports_are_for_the_privileged(fork):
    """Without CAP_NET_BIND_SERVICE a port below ip_unprivileged_port_start, 1024 by default, cannot be bound."""
    start = limit("net/ipv4/ip_unprivileged_port_start")
    lowest = 1024 if start is None else start
    if lowest < 2:
        untested("every port may be bound here: ip_unprivileged_port_start is 0")

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        with socket.socket() as server, fails_with(EACCES):
            server.bind(("127.0.0.1", lowest - 1))

    fork(life).result()


@clause("ip.any-address", "ip(7)", "Address format")
def test_any_address_is_every_own_one(sockets):
    """A socket that is bound to INADDR_ANY takes connections to each address of this machine."""
    listener = sockets.listen_inet("0.0.0.0")
    for address in ("127.0.0.1", "127.1.2.3"):
        client = sockets.connect((address, listener.address[1]))
        with listener.accept() as server:
            assert server.address == client.socket.getpeername() == (address, listener.address[1])


@clause("ip.family-eafnosupport", "connect(2)", "ERRORS", errno=EAFNOSUPPORT)
def test_an_address_of_another_family_is_refused(sockets):
    """Connecting to an address whose family is not the socket's fails."""
    for type in (SOCK_STREAM, SOCK_DGRAM):
        with fails_with(EAFNOSUPPORT):
            connect(sockets.socket(AF_INET, type).fd, socket.AF_UNIX.to_bytes(2, "little") + bytes(14))


def six(sockets, only: int):
    """A listener at every IPv6 address; untested where there is none."""
    try:
        server = sockets.socket(AF_INET6)
        server.socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, only)
        server.socket.bind(("::", 0))
    except OSError as error:
        untested(f"needs IPv6: {error.strerror}")
    server.socket.listen()
    return server


@clause("ipv6.mapped-address", "ipv6(7)", "Address format")
def test_an_ipv6_socket_takes_ipv4_connections(sockets):
    """Without IPV6_V6ONLY a socket at the any-address takes IPv4 connections too, their addresses mapped to ::ffff:…."""
    server = six(sockets, 0)
    client = sockets.connect(("127.0.0.1", server.address[1]))
    accepted, address = server.socket.accept()
    accepted.close()
    assert address[:2] == ("::ffff:127.0.0.1", client.address[1])


@clause("ipv6.v6only", "IPV6_V6ONLY(2const)", "DESCRIPTION", errno=ECONNREFUSED)
def test_an_ipv6_socket_can_be_for_ipv6_alone(sockets):
    """With IPV6_V6ONLY a socket takes no IPv4 connections, and an IPv4 socket may have the same port."""
    server = six(sockets, 1)
    port = server.address[1]
    with fails_with(ECONNREFUSED):
        sockets.socket(AF_INET).socket.connect(("127.0.0.1", port))
    sockets.listen_inet("0.0.0.0", port)
