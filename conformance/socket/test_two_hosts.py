"""network_namespaces(7), veth(4): processes in two network namespaces that only a veth pair connects."""

from __future__ import annotations

import os
import signal
import socket
from errno import EACCES, EADDRNOTAVAIL, ECONNREFUSED, ENETUNREACH
from socket import AF_INET, AF_UNIX, SO_BROADCAST, SOCK_DGRAM, SOL_SOCKET

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import accept4, connect, recv, unix_address

NAMESPACES = "DESCRIPTION"


@pytest.fixture
def serving(sockets, pipe):
    """Start a server: serving(host, address, function, type) -> Child, which listens on port 7000 when this returns."""

    def start(host, address, function, type=socket.SOCK_STREAM):
        ready = pipe()

        def life():
            with sockets.listen_inet(address, 7000, type=type, family=family_of(address)) as server:
                ready.write(b".")
                return function(server)

        server = host.fork(life)
        ready.close_write()
        if ready.read(1) != b".":
            server.result()
        return server

    return start


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else AF_INET


def addresses(host) -> dict[str, str | None]:
    return {"ipv4": host.address, "ipv6": host.address6}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@clause("hosts.tcp", "tcp(7)", "DESCRIPTION")
def test_stream_between_namespaces(two_hosts, sockets, serving, family):
    """A TCP stream between two network namespaces delivers all bytes in order both ways; each peer address is that
    of the other's device.
    """
    hosts = two_hosts()
    address, own = addresses(hosts.left)[family], addresses(hosts.right)[family]
    if address is None:
        untested(Need.NETWORK, "needs IPv6")
    data = os.urandom(200_000)

    def echo(server):
        with server.accept() as connection:
            peer = connection.socket.getpeername()[0]
            while piece := connection.receive():
                connection.socket.sendall(piece)
            return peer

    def ask():
        with sockets.connect((address, 7000)) as connection:
            answer, peer = b"", connection.socket.getpeername()[0]
            for start in range(0, len(data), 20_000):
                connection.socket.sendall(data[start : start + 20_000])
                answer += connection.receive()
            connection.shutdown()
            while piece := connection.receive():
                answer += piece
            return answer == data, peer

    server = serving(hosts.left, address, echo)
    assert hosts.right.fork(ask).result() == (True, address)
    assert server.result() == own


@clause("hosts.udp", "udp(7)", "DESCRIPTION")
def test_datagram_between_namespaces(two_hosts, sockets, serving):
    """A UDP datagram reaches another network namespace with the address of its sender, and can be answered."""
    hosts = two_hosts()

    def answer(server):
        question = server.receive_message()
        server.send(question.data[::-1], to=question.address)
        return question.address[0]

    def ask():
        client = sockets.listen_inet(hosts.right.address, type=SOCK_DGRAM)
        client.send(b"question", to=(hosts.left.address, 7000))
        return client.receive()

    server = serving(hosts.left, hosts.left.address, answer, SOCK_DGRAM)
    assert hosts.right.fork(ask).result() == b"noitseuq"
    assert server.result() == hosts.right.address


@clause("hosts.loopback-apart", "network_namespaces(7)", NAMESPACES, errno=ECONNREFUSED)
def test_each_namespace_has_its_own_loopback(two_hosts, serving):
    """A listener on the loopback device of one network namespace is not reachable from another, where its port is
    free.
    """
    hosts = two_hosts()
    server = serving(hosts.left, "127.0.0.1", lambda server: server.accept().receive())

    def other():
        with socket.socket() as client, fails_with(ECONNREFUSED):
            client.connect(("127.0.0.1", 7000))
        with socket.socket() as second:
            second.bind(("127.0.0.1", 7000))

    def same():
        with socket.socket() as client:
            client.connect(("127.0.0.1", 7000))
            client.sendall(b"here")

    hosts.right.fork(other).result()
    hosts.left.fork(same).result()
    assert server.result() == b"here"


@clause("hosts.abstract-apart", "network_namespaces(7)", NAMESPACES, errno=ECONNREFUSED)
def test_abstract_names_are_per_namespace(two_hosts, sockets):
    """An abstract UNIX address of one network namespace is not found in another."""
    hosts = two_hosts()
    name = unix_address(b"\0hosts-" + os.urandom(8).hex().encode())

    def serve():
        with sockets.listen_unix(abstract=name[3:]) as server:
            return recv(accept4(server.fd), 10)

    def refused():
        with socket.socket(AF_UNIX) as client, fails_with(ECONNREFUSED):
            connect(client.fileno(), name)

    def served():
        with socket.socket(AF_UNIX) as client:
            connect(client.fileno(), name)
            client.sendall(b"here")

    server = hosts.left.fork(serve)
    server.wait_blocked("accept")
    hosts.right.fork(refused).result()
    hosts.left.fork(served).result()
    assert server.result() == b"here"


@clause("hosts.unreachable", "connect(2)", "ERRORS", errno=ENETUNREACH)
def test_unreachable_and_foreign_addresses_fail(two_hosts):
    """connect() fails with ENETUNREACH for an address without a route, and bind() with EADDRNOTAVAIL for one of
    another namespace.
    """
    hosts = two_hosts()

    def life():
        with socket.socket() as client, fails_with(ENETUNREACH):
            client.connect(("203.0.113.7", 7000))
        with socket.socket() as thief, fails_with(EADDRNOTAVAIL):
            thief.bind((hosts.left.address, 7000))

    hosts.right.fork(life).result()


@clause("hosts.econnrefused", "connect(2)", "ERRORS", errno=ECONNREFUSED)
def test_connect_to_other_namespace_is_refused(two_hosts):
    """connect() to an address of another network namespace fails with ECONNREFUSED if no socket listens on the port."""
    hosts = two_hosts()

    def life():
        with socket.socket() as client, fails_with(ECONNREFUSED):
            client.connect((hosts.left.address, 7000))

    hosts.right.fork(life).result()


@clause("hosts.killed-server-ends-connections", "tcp(7)", "DESCRIPTION")
def test_killed_process_ends_its_connections_across_namespaces(two_hosts, sockets, serving):
    """When a process is killed, its connections to another network namespace are closed."""
    hosts = two_hosts()

    def hold(server):
        connection = server.accept()
        connection.send(b"alive")
        signal.pause()

    def wait():
        with sockets.connect((hosts.left.address, 7000)) as connection:
            alive = connection.receive()
            print("alive", flush=True)
            return alive, recv(connection.fd, 1)

    server = serving(hosts.left, hosts.left.address, hold)
    client = hosts.right.fork(wait)
    client.wait_blocked("recv")
    server.signal(signal.SIGKILL)
    assert client.result() == (b"alive", b"")


@clause("hosts.broadcast", "ip(7)", "Address format", errno=EACCES)
def test_broadcast_reaches_other_namespace(two_hosts, serving):
    """A datagram to the network's broadcast address reaches the other namespace; without SO_BROADCAST it fails with
    EACCES.
    """
    hosts = two_hosts()
    everybody = hosts.left.address.rpartition(".")[0] + ".255"

    def call():
        with socket.socket(AF_INET, SOCK_DGRAM) as client:
            with fails_with(EACCES):
                client.sendto(b"x", (everybody, 7000))
            client.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
            client.sendto(b"everybody", (everybody, 7000))

    server = serving(hosts.left, "0.0.0.0", lambda server: server.receive(), SOCK_DGRAM)
    hosts.right.fork(call).result()
    assert server.result() == b"everybody"


@clause("hosts.unix-path-across", "unix(7)", "Pathname sockets")
def test_path_is_reachable_from_other_network_namespace(two_hosts, sockets):
    """A UNIX socket with a pathname can be connected to from another network namespace."""
    hosts = two_hosts()
    listener = sockets.listen_unix()

    def serve():
        with listener.accept() as connection:
            connection.send(b"across")

    server = hosts.left.fork(serve)
    assert hosts.right.fork(lambda: sockets.connect(listener).receive()).result() == b"across"
    server.result()
