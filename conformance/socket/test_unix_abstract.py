"""unix(7): abstract addresses and the autobind feature."""

from __future__ import annotations

import os
import re
import socket
from errno import EADDRINUSE, ECONNREFUSED
from signal import pause
from socket import AF_UNIX, SO_PASSCRED, SOCK_DGRAM, SOL_SOCKET

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    CLONE_NEWNET,
    CLONE_NEWUSER,
    bind,
    capabilities,
    connect,
    getpeername,
    getsockname,
    unix_address,
    unshare,
)

from ..credentials import GROUP, STRANGER, become

ABSTRACT, AUTOBIND = "Abstract sockets", "Autobind feature"


@pytest.fixture
def name() -> bytes:
    """Return an unused abstract address."""
    return unix_address(b"\0conformance-" + os.urandom(8).hex().encode())


@clause("unix.abstract-namespace", "unix(7)", "Address format")
def test_every_byte_of_abstract_name_counts(sockets, name):
    """All bytes of an abstract address within its length are significant: names that differ only in null bytes are
    different.
    """
    names = [name, name + b"\0", name + b"\0\0", name + b"\0x", name + b"/x"]
    servers = [sockets.socket() for _ in names]
    for server, each in zip(servers, names, strict=True):
        bind(server.fd, each)
        server.socket.listen()
        assert getsockname(server.fd) == (each, len(each))
    for server, each in zip(servers, names, strict=True):
        client = sockets.socket()
        connect(client.fd, each)
        assert getpeername(client.fd) == (each, len(each))
        server.socket.accept()[0].close()
    with fails_with(ECONNREFUSED):
        connect(sockets.socket().fd, name + b"\0\0\0")


@clause("unix.abstract-no-file", "unix(7)", "Address format")
def test_abstract_name_creates_no_file(sockets, tmp_path, monkeypatch):
    """An abstract address is independent of the file system: bind() creates no file, and a pathname with the same
    bytes is another address.
    """
    monkeypatch.chdir(tmp_path)
    word = os.urandom(8).hex().encode()
    bind(sockets.socket().fd, unix_address(b"\0" + word))
    assert os.listdir(tmp_path) == []
    bind(sockets.socket().fd, unix_address(word + b"\0"))


@clause("unix.abstract-auto-cleanup", "unix(7)", ABSTRACT)
def test_abstract_name_disappears_with_last_descriptor(sockets, fork, name):
    """An abstract address is in use while any process has a descriptor of its socket open, and free after the last
    close().
    """
    server = sockets.socket()
    bind(server.fd, name)
    server.socket.listen()
    holder = fork.keeping(server.fd)(pause)
    server.close()
    with fails_with(EADDRINUSE):
        bind(sockets.socket().fd, name)
    connect(sockets.socket().fd, name)
    holder.close()
    with fails_with(ECONNREFUSED):
        connect(sockets.socket().fd, name)
    bind(sockets.socket().fd, name)


@clause("unix.abstract-per-netns", "network_namespaces(7)", "DESCRIPTION")
def test_abstract_name_is_per_network_namespace(sockets, fork, name):
    """An abstract address is not found in another network namespace, where it can be bound again."""
    server = sockets.socket()
    bind(server.fd, name)
    server.socket.listen()

    def life() -> None:
        try:
            try:
                unshare(CLONE_NEWNET)
            except PermissionError:
                unshare(CLONE_NEWUSER | CLONE_NEWNET)
        except OSError as error:
            untested(
                Need.NETWORK_NAMESPACES,
                f"needs a network namespace: CAP_SYS_ADMIN, or user namespaces: {error.strerror}",
            )
        with socket.socket(AF_UNIX) as client:
            with fails_with(ECONNREFUSED):
                connect(client.fileno(), name)
            bind(client.fileno(), name)

    fork(life).result()
    connect(sockets.socket().fd, name)


@clause("unix.abstract-no-permissions", "unix(7)", ABSTRACT)
def test_permissions_do_not_apply_to_abstract_name(fork, name):
    """Neither the umask nor the mode of the socket restricts who may connect to an abstract address."""

    def serve() -> None:
        os.umask(0o777)
        server = socket.socket(AF_UNIX)
        bind(server.fileno(), name)
        os.fchmod(server.fileno(), 0)
        server.listen()
        pause()

    def connects() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        connect(socket.socket(AF_UNIX).detach(), name)

    fork(serve).wait_blocked("pause")
    fork(connects).result()


@clause("unix.autobind-format", "unix(7)", AUTOBIND)
def test_autobind_assigns_unique_name(sockets):
    """bind() with only the address family assigns an unused abstract address of five hexadecimal digits."""
    drawn = []
    for _ in range(3):
        server = sockets.socket()
        bind(server.fd, unix_address(b""))
        drawn.append(getsockname(server.fd))
    for address, length in drawn:
        assert re.fullmatch(rb"\0[0-9a-f]{5}", address[2:])
        assert length == 8
    assert len(set(drawn)) == 3


@pytest.mark.usefixtures("room_to_listen")
@clause("unix.autobind-by-passcred", "unix(7)", AUTOBIND)
def test_so_passcred_autobinds_on_connect(sockets, beside):
    """connect() of an unbound socket with SO_PASSCRED autobinds it; without the option it does not."""
    listener = sockets.listen_unix()
    names = {}
    for on in (0, 1):
        client = sockets.socket()
        client.socket.setsockopt(SOL_SOCKET, SO_PASSCRED, on)
        client.socket.connect(beside(listener))
        names[on] = getsockname(client.fd)
    assert names[0] == (unix_address(b""), 2)
    assert re.fullmatch(rb"\0[0-9a-f]{5}", names[1][0][2:])


@clause("unix.autobind-can-be-answered", "unix(7)", AUTOBIND)
def test_autobound_address_can_be_answered(sockets, beside):
    """A datagram from an autobound socket can be answered at its address."""
    server, client = sockets.listen_unix(type=SOCK_DGRAM), sockets.socket(AF_UNIX, SOCK_DGRAM)
    bind(client.fd, unix_address(b""))
    client.send(b"question", to=beside(server))
    question = server.receive_message()
    server.send(b"answer", to=question.address)
    assert (question.data, client.receive()) == (b"question", b"answer")
