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

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import capabilities, connect, limit, recv, send

from ..credentials import GROUP, STRANGER, become
from .conftest import listening

FAMILIES = pytest.mark.parametrize("family", [AF_INET, AF_INET6], ids=["ipv4", "ipv6"])


@FAMILIES
@clause("udp.boundaries", "udp(7)", "DESCRIPTION")
def test_recv_returns_one_datagram(sockets, family):
    """Each receive returns one datagram, possibly empty, with the address of its sender."""
    server, client = listening(sockets, family, SOCK_DGRAM), listening(sockets, family, SOCK_DGRAM)
    for data in (b"one", b"", b"three"):
        client.send(data, to=server)
    got = [server.receive_message() for _ in range(3)]
    assert [message.data for message in got] == [b"one", b"", b"three"]
    assert {message.address for message in got} == {client.address}


@clause("udp.excess-discarded", "recv(2)", "DESCRIPTION")
def test_excess_of_datagram_is_discarded(sockets):
    """If a datagram is longer than the buffer, recvmsg() discards the excess and sets MSG_TRUNC."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    client.send(b"0123456789", to=server)
    client.send(b"next", to=server)
    cut = server.receive_message(4)
    assert (cut.data, bool(cut.flags & MSG_TRUNC)) == (b"0123", True)
    whole = server.receive_message(4)
    assert (whole.data, bool(whole.flags & MSG_TRUNC)) == (b"next", False)


@clause("udp.msg_trunc-peek", "udp(7)", "DESCRIPTION")
def test_msg_trunc_returns_real_length(sockets):
    """recv() with MSG_TRUNC returns the real length of a datagram longer than the buffer, and MSG_PEEK keeps it in
    the queue.
    """
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    client.send(b"0123456789", to=server)
    assert server.socket.recv_into(bytearray(4), 4, MSG_PEEK | MSG_TRUNC) == 10
    assert server.receive() == b"0123456789"


@clause("udp.siocinq", "udp(7)", "Ioctls")
def test_fionread_returns_length_of_next_datagram(sockets, unread):
    """FIONREAD returns the length of the next datagram, or 0 if there is none."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    assert unread(server) == 0
    client.send(b"four", to=server)
    client.send(b"eleven more", to=server)
    server.receive(flags=MSG_PEEK)
    assert unread(server) == 4
    server.receive()
    assert unread(server) == 11


@clause("udp.connected-hears-its-peer-alone", "udp(7)", "DESCRIPTION")
def test_connected_socket_receives_from_peer_only(sockets):
    """A connected UDP socket receives datagrams only from its peer."""
    server, peer, stranger = (listening(sockets, type=SOCK_DGRAM) for _ in range(3))
    server.socket.connect(peer.address)
    stranger.send(b"stranger", to=server)
    peer.send(b"peer", to=server)
    assert server.receive() == b"peer"
    with fails_with(EAGAIN):
        recv(server.fd, 1, MSG_DONTWAIT)


@clause("udp.connect-dissolved", "connect(2)", "DESCRIPTION")
def test_af_unspec_dissolves_association(sockets):
    """connect() with the family AF_UNSPEC dissolves the association: the socket receives from every address again."""
    drawn, peer, stranger = (listening(sockets, type=SOCK_DGRAM) for _ in range(3))
    address = drawn.address
    drawn.close()
    server = sockets.listen_inet(*address, type=SOCK_DGRAM)  # bound explicitly: an ephemeral port would be released
    server.socket.connect(peer.address)
    connect(server.fd, bytes(16))
    stranger.send(b"stranger", to=server)
    assert server.receive() == b"stranger"
    with fails_with(EDESTADDRREQ):
        send(server.fd, b"x")


@clause("udp.econnrefused", "udp(7)", "ERRORS", errno=ECONNREFUSED)
def test_closed_port_is_reported_to_connected_socket(sockets):
    """A later call on a connected UDP socket fails with ECONNREFUSED after a datagram was sent to a port without a
    receiver.
    """
    client, server = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    client.socket.connect(server.address)
    server.close()
    send(client.fd, b"x")
    with fails_with(ECONNREFUSED):
        client.receive()


@clause("udp.emsgsize", "send(2)", "ERRORS", errno=EMSGSIZE)
def test_too_long_datagram_fails(sockets):
    """A datagram may fill an IP packet of 65535 bytes; send() fails with EMSGSIZE for one byte more."""
    server, client = (listening(sockets, type=SOCK_DGRAM) for _ in range(2))
    longest = 65535 - 20 - 8
    with fails_with(EMSGSIZE):
        client.send(bytes(longest + 1), to=server)
    client.send(bytes(longest), to=server)
    assert len(server.receive()) == longest


@clause("udp.edestaddrreq", "send(2)", "ERRORS", errno=EDESTADDRREQ)
def test_send_without_address_fails(sockets):
    """send() without an address fails with EDESTADDRREQ on a UDP socket that is not connected."""
    client = sockets.socket(AF_INET, SOCK_DGRAM)
    with fails_with(EDESTADDRREQ):
        send(client.fd, b"x")


@clause("ip.broadcast-eacces", "ip(7)", "ERRORS", errno=EACCES)
def test_broadcast_needs_so_broadcast(sockets):
    """Sending to a broadcast address fails with EACCES without SO_BROADCAST."""
    listening(sockets, type=SOCK_DGRAM)
    client = sockets.socket(AF_INET, SOCK_DGRAM)
    with fails_with(EACCES):
        client.send(b"x", to=("127.255.255.255", 9))
    client.socket.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
    client.send(b"x", to=("127.255.255.255", 9))


@clause("ip.eaddrnotavail", "ip(7)", "ERRORS", errno=EADDRNOTAVAIL)
def test_bind_to_foreign_address_fails(sockets):
    """bind() fails with EADDRNOTAVAIL for an address that no local device has."""
    with fails_with(EADDRNOTAVAIL):
        sockets.socket(AF_INET).socket.bind(("203.0.113.7", 0))


@clause("ip.port-drawn", "ip(7)", "Address format")
def test_ephemeral_port_is_in_range(sockets):
    """bind() to port 0 and connect() of an unbound socket assign an unused port in ip_local_port_range."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = map(int, file.read().split())
    except OSError as error:
        untested(Need.PROC_FILES, f"needs /proc/sys/net/ipv4/ip_local_port_range: {error.strerror}")
    listeners = [listening(sockets) for _ in range(5)]
    ports = [each.address[1] for each in (*listeners, *map(sockets.connect, listeners))]
    assert all(low <= port <= high for port in ports)
    assert len(set(ports[:5])) == 5


@clause("ip.privileged-port-eacces", "ip(7)", "Address format", errno=EACCES)
def test_privileged_port_needs_capability(fork):
    """bind() to a port below ip_unprivileged_port_start, by default 1024, fails with EACCES without
    CAP_NET_BIND_SERVICE.
    """
    start = limit("net/ipv4/ip_unprivileged_port_start")
    lowest = 1024 if start is None else start
    if lowest < 2:
        untested(Need.NETWORK, "every port may be bound here: ip_unprivileged_port_start is 0")

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        with socket.socket() as server, fails_with(EACCES):
            server.bind(("127.0.0.1", lowest - 1))

    fork(life).result()


@clause("ip.any-address", "ip(7)", "Address format")
def test_inaddr_any_accepts_on_every_address(sockets):
    """A socket bound to INADDR_ANY accepts connections to every local address."""
    listener = sockets.listen_inet("0.0.0.0")
    for address in ("127.0.0.1", "127.1.2.3"):
        client = sockets.connect((address, listener.address[1]))
        with listener.accept() as server:
            assert server.address == client.socket.getpeername() == (address, listener.address[1])


@clause("ip.family-eafnosupport", "connect(2)", "ERRORS", errno=EAFNOSUPPORT)
def test_address_of_other_family_fails(sockets):
    """connect() fails with EAFNOSUPPORT for an address of another family."""
    for type in (SOCK_STREAM, SOCK_DGRAM):
        with fails_with(EAFNOSUPPORT):
            connect(sockets.socket(AF_INET, type).fd, socket.AF_UNIX.to_bytes(2, "little") + bytes(14))


def six(sockets, only: int):
    """Return a listener on the IPv6 any-address; report untested without IPv6."""
    try:
        server = sockets.socket(AF_INET6)
        server.socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, only)
        server.socket.bind(("::", 0))
    except OSError as error:
        untested(Need.NETWORK, f"needs IPv6: {error.strerror}")
    server.socket.listen()
    return server


@clause("ipv6.mapped-address", "ipv6(7)", "Address format")
def test_ipv6_socket_accepts_ipv4_connections(sockets):
    """Without IPV6_V6ONLY a socket on the IPv6 any-address accepts IPv4 connections, with addresses of the form
    ::ffff:127.0.0.1.
    """
    server = six(sockets, 0)
    client = sockets.connect(("127.0.0.1", server.address[1]))
    accepted, address = server.socket.accept()
    accepted.close()
    assert address[:2] == ("::ffff:127.0.0.1", client.address[1])


@clause("ipv6.v6only", "IPV6_V6ONLY(2const)", "DESCRIPTION", errno=ECONNREFUSED)
def test_ipv6_v6only_excludes_ipv4(sockets):
    """With IPV6_V6ONLY a socket accepts no IPv4 connections, and an IPv4 socket may bind to the same port."""
    server = six(sockets, 1)
    port = server.address[1]
    with fails_with(ECONNREFUSED):
        sockets.socket(AF_INET).socket.connect(("127.0.0.1", port))
    sockets.listen_inet("0.0.0.0", port)
