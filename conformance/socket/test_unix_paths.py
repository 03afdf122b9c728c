"""unix(7): pathname sockets: the socket file, permission to connect, and the form of addresses."""

from __future__ import annotations

import os
import socket
import stat
from errno import (
    EACCES,
    EADDRINUSE,
    ECONNREFUSED,
    EINVAL,
    EISCONN,
    ELOOP,
    ENOENT,
    ENOTDIR,
    EPROTOTYPE,
)
from socket import AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import bind, capabilities, connect, getpeername, getsockname, recv, send, unix_address

from ..credentials import GROUP, STRANGER, become

OWNERSHIP = "Pathname socket ownership and permissions"
TYPES = {"stream": SOCK_STREAM, "datagram": SOCK_DGRAM, "seqpacket": SOCK_SEQPACKET}


def address(path: object) -> bytes:
    return unix_address(os.fsencode(str(path)) + b"\0")


@clause("unix.path-bind-creates-socket-file", "unix(7)", OWNERSHIP)
def test_bind_creates_socket_file(common, fork):
    """bind() to a pathname creates a socket file with all permissions except those in the umask."""

    def life() -> None:
        os.chdir(common)
        for umask in (0, 0o027, 0o777):
            os.umask(umask)
            bind(socket.socket(AF_UNIX).detach(), address(oct(umask)))

    fork(life).result()
    modes = {umask: os.lstat(common / oct(umask)).st_mode for umask in (0, 0o027, 0o777)}
    assert modes == {umask: stat.S_IFSOCK | (0o777 & ~umask) for umask in modes}


@clause("unix.eaddrinuse-stale", "unix(7)", "ERRORS", errno=EADDRINUSE)
def test_bind_to_existing_path_fails(sockets, common, monkeypatch):
    """bind() fails with EADDRINUSE if the pathname exists, as a socket in use, a stale socket or another file."""
    monkeypatch.chdir(common)
    (common / "file").touch()
    (common / "link").symlink_to("nowhere")
    with socket.socket(AF_UNIX) as stale:
        stale.bind("stale")
    sockets.listen_unix("in-use")
    before = sorted(os.listdir(common))
    for name in ("in-use", "stale", "file", "link"):
        with fails_with(EADDRINUSE):
            bind(sockets.socket().fd, address(name))
    assert sorted(os.listdir(common)) == before
    connect(sockets.socket().fd, address("in-use"))


@clause("unix.stale-path-econnrefused", "unix(7)", "ERRORS", errno=ECONNREFUSED)
def test_connect_to_stale_path_fails(sockets, common, monkeypatch):
    """connect() and sendto() fail with ECONNREFUSED for the pathname of a socket that has been closed."""
    monkeypatch.chdir(common)
    for name, type in TYPES.items():
        with socket.socket(AF_UNIX, type) as stale:
            stale.bind(name)
        with fails_with(ECONNREFUSED):
            connect(sockets.socket(AF_UNIX, type).fd, address(name))
    with fails_with(ECONNREFUSED):
        sockets.socket(AF_UNIX, SOCK_DGRAM).socket.sendto(b"x", "datagram")


def tried_by_a_stranger(fork, place: object, act) -> None:
    """Run act() in *place* without capabilities; raise what it raises."""

    def life() -> None:
        os.chdir(str(place))
        if capabilities() != 0:
            become(STRANGER, GROUP)
        act()

    fork(life).result()


@clause("unix.connect-needs-write-perm", "unix(7)", OWNERSHIP, errno=EACCES)
def test_connect_needs_write_permission(sockets, common, fork, monkeypatch):
    """connect() to a stream socket needs write permission on its file, and fails with EACCES with only read and
    execute permission.
    """
    monkeypatch.chdir(common)
    sockets.listen_unix("closed", mode=0o555)
    sockets.listen_unix("open", mode=0o222)

    def act() -> None:
        with fails_with(EACCES):
            connect(socket.socket(AF_UNIX).detach(), address("closed"))
        connect(socket.socket(AF_UNIX).detach(), address("open"))

    tried_by_a_stranger(fork, common, act)


@clause("unix.dgram-send-needs-write-perm", "unix(7)", OWNERSHIP, errno=EACCES)
def test_datagram_needs_write_permission(sockets, common, fork, monkeypatch):
    """Sending a datagram to a pathname socket needs write permission on its file, and fails with EACCES without it."""
    monkeypatch.chdir(common)
    closed = sockets.listen_unix("closed", mode=0o555, type=SOCK_DGRAM)
    opened = sockets.listen_unix("open", mode=0o222, type=SOCK_DGRAM)

    def act() -> None:
        with socket.socket(AF_UNIX, SOCK_DGRAM) as sender:
            with fails_with(EACCES):
                sender.sendto(b"x", "closed")
            sender.sendto(b"x", "open")

    tried_by_a_stranger(fork, common, act)
    assert opened.receive() == b"x"
    with pytest.raises(TimeoutError):
        closed.receive(timeout=0)


@clause("unix.dir-perm-for-bind", "unix(7)", OWNERSHIP, errno=EACCES)
def test_bind_needs_write_and_search_permission(common, fork):
    """bind() fails with EACCES in a directory without write or search permission."""
    modes = {"unwritable": 0o555, "unsearchable": 0o666, "open": 0o777}
    for name, mode in modes.items():
        (common / name).mkdir()
        (common / name).chmod(mode)

    def act() -> None:
        for name in ("unwritable", "unsearchable"):
            with fails_with(EACCES):
                bind(socket.socket(AF_UNIX).detach(), address(f"{name}/socket"))
        bind(socket.socket(AF_UNIX).detach(), address("open/socket"))

    tried_by_a_stranger(fork, common, act)
    (common / "unsearchable").chmod(0o700)
    assert {name: os.listdir(common / name) for name in modes} == {
        "unwritable": [],
        "unsearchable": [],
        "open": ["socket"],
    }


@pytest.mark.parametrize(
    ("name", "errno"),
    [
        pytest.param("missing", ENOENT, id="nothing-there-enoent"),
        pytest.param("missing/socket", ENOENT, id="no-directory-enoent"),
        pytest.param("file/socket", ENOTDIR, id="file-as-directory-enotdir"),
        pytest.param("loop", ELOOP, id="link-to-itself-eloop"),
        pytest.param("file", ECONNREFUSED, id="no-socket-econnrefused"),
        pytest.param("bound", ECONNREFUSED, id="not-listening-econnrefused"),
    ],
)
@clause("unix.connect-errors", "unix(7)", "ERRORS")
def test_connect_to_invalid_path_fails(sockets, common, monkeypatch, name, errno):
    """connect() fails with ENOENT, ENOTDIR or ELOOP for an unresolvable pathname, and with ECONNREFUSED for a file
    that is not a listening socket.
    """
    monkeypatch.chdir(common)
    (common / "file").touch()
    (common / "loop").symlink_to("loop")
    bind(sockets.socket().fd, address("bound"))
    client = sockets.socket()
    with fails_with(errno):
        connect(client.fd, address(name))
    listener = sockets.listen_unix("listening")
    connect(client.fd, address("listening"))  # the failed connect() must leave the socket usable
    assert listener.accept().receive(0) == b""


@pytest.mark.parametrize("there", TYPES)
@pytest.mark.parametrize("here", TYPES)
@clause("unix.prototype-mismatch", "unix(7)", "ERRORS", errno=EPROTOTYPE)
def test_connect_to_other_type_fails(sockets, beside, here, there):
    """connect() fails with EPROTOTYPE if the socket at the pathname is of another type."""
    listener, client = sockets.listen_unix(type=TYPES[there]), sockets.socket(AF_UNIX, TYPES[here])
    if here == there:
        connect(client.fd, address(beside(listener)))
    else:
        with fails_with(EPROTOTYPE):
            connect(client.fd, address(beside(listener)))


@clause("unix.connect-eisconn", "unix(7)", "ERRORS", errno=EISCONN)
def test_second_connect_fails(sockets, beside):
    """connect() of a connected stream socket fails with EISCONN, and the connection persists."""
    one, other = sockets.listen_unix(), sockets.listen_unix()
    client = sockets.connect(one)
    with fails_with(EISCONN):
        connect(client.fd, address(beside(other)))
    send(client.fd, b"still")
    assert one.accept().receive() == b"still"


@clause("unix.connect-listening-einval", "unix(7)", "ERRORS", errno=EINVAL)
def test_connect_of_listener_fails(sockets, beside):
    """connect() fails with EINVAL on a listening socket."""
    one, other = sockets.listen_unix(), sockets.listen_unix()
    with fails_with(EINVAL):
        connect(one.fd, address(beside(other)))
    sockets.connect(one)


@clause("unix.family-einval", "unix(7)", "ERRORS", errno=EINVAL)
def test_address_of_other_family_fails(sockets, common, monkeypatch):
    """bind() and connect() fail with EINVAL for an address whose family is not AF_UNIX."""
    monkeypatch.chdir(common)
    wrong = socket.AF_INET.to_bytes(2, "little") + socket.AF_INET.to_bytes(2, "big") + b"name\0"
    for call in (bind, connect):
        with fails_with(EINVAL):
            call(sockets.socket().fd, wrong)
    assert os.listdir(common) == []


@clause("unix.bind-twice-einval", "bind(2)", "ERRORS", errno=EINVAL)
def test_second_bind_fails(sockets, common, monkeypatch):
    """bind() fails with EINVAL if the socket already has an address, and creates no second file."""
    monkeypatch.chdir(common)
    bound = sockets.socket()
    bind(bound.fd, address("first"))
    with fails_with(EINVAL):
        bind(bound.fd, address("second"))
    assert os.listdir(common) == ["first"]


@clause("unix.getsockname-lengths", "unix(7)", "Address format")
def test_lengths_of_addresses(sockets, common, monkeypatch):
    """The address of a pathname socket includes the terminating null byte in its length; that of an unnamed socket
    is only the family.
    """
    monkeypatch.chdir(common)
    server, client = sockets.socket(), sockets.socket()
    assert getsockname(server.fd) == (unix_address(b""), 2)
    bind(server.fd, address("name"))
    assert getsockname(server.fd) == (unix_address(b"name\0"), 7)
    server.socket.listen()
    connect(client.fd, address("name"))
    assert (getpeername(client.fd), getsockname(client.fd)) == ((unix_address(b"name\0"), 7), (unix_address(b""), 2))


@clause("unix.getsockname-cut", "unix(7)", "Pathname sockets")
def test_address_is_truncated_to_buffer(sockets, common, monkeypatch):
    """getsockname() truncates an address that does not fit the buffer and returns its whole length."""
    monkeypatch.chdir(common)
    server = sockets.socket()
    bind(server.fd, address("name"))
    assert getsockname(server.fd, 4) == (unix_address(b"na"), 7)


@clause("unix.path-of-108-bytes", "unix(7)", "BUGS")
def test_path_of_108_bytes(sockets, common, monkeypatch):
    """bind() accepts a pathname of 108 bytes without a null byte, and getsockname() returns it with a null byte
    after the structure.
    """
    monkeypatch.chdir(common)
    server = sockets.socket()
    bind(server.fd, unix_address(b"x" * 108))
    assert os.listdir(common) == ["x" * 108]
    assert getsockname(server.fd) == (unix_address(b"x" * 108 + b"\0"), 111)


@clause("unix.bind-too-long-einval", "bind(2)", "ERRORS", errno=EINVAL)
def test_too_long_address_fails(sockets, common, monkeypatch):
    """bind() fails with EINVAL for an address longer than struct sockaddr_un."""
    monkeypatch.chdir(common)
    with fails_with(EINVAL):
        bind(sockets.socket().fd, unix_address(b"x" * 109))
    assert os.listdir(common) == []


@clause("unix.chmod-decides", "unix(7)", OWNERSHIP)
def test_chmod_changes_who_may_connect(sockets, common, fork, monkeypatch):
    """chmod() of the file of a listening socket changes who may connect from then on."""
    monkeypatch.chdir(common)
    listener = sockets.listen_unix("socket", mode=0o000)

    def refused() -> None:
        with fails_with(EACCES):
            connect(socket.socket(AF_UNIX).detach(), address("socket"))

    tried_by_a_stranger(fork, common, refused)
    os.chmod(listener.path, 0o222)
    tried_by_a_stranger(fork, common, lambda: connect(socket.socket(AF_UNIX).detach(), address("socket")))


@clause("unix.removed-path-keeps-connections", "unix(7)", "NOTES", errno=ENOENT)
def test_removed_path_keeps_connections(sockets, common, monkeypatch):
    """After the file of a socket is removed existing connections persist, and connect() to the pathname fails with
    ENOENT.
    """
    monkeypatch.chdir(common)
    listener = sockets.listen_unix("socket")
    client = sockets.connect(listener)
    os.unlink("socket")
    with fails_with(ENOENT):
        connect(sockets.socket().fd, address("socket"))
    send(listener.accept().fd, b"still")
    assert recv(client.fd, 10) == b"still"
