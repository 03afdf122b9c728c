"""Sockets and listeners: deadlines, ancillary data, addresses, removal, and invalid arguments."""

from __future__ import annotations

import math
import os
import resource
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from errno import EADDRINUSE, ECONNREFUSED, EMFILE
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM
from typing import Any

import pytest

from pytest_ipc import Listener, Socket, scope
from pytest_ipc.kernel import Ucred, unix_sockets
from pytest_ipc.resource import COULD_NOT_MAKE
from pytest_ipc.resources.socket import short_enough

from ..leaks import Snapshot


@pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET])
def test_a_pair_of_every_type(sockets, type):
    left, right = sockets.pair(type)
    assert (left.send(b"there"), right.receive()) == (5, b"there")
    assert (right.send(b"back"), left.receive()) == (4, b"back")
    assert left.socket.type == type
    left.close()
    assert (left.closed, right.closed) == (True, False)


@pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_SEQPACKET])
@pytest.mark.parametrize("abstract", [False, True])
def test_a_unix_listener_is_connected_to(sockets, type, abstract):
    listener = sockets.listen_unix(abstract=abstract, type=type)
    client = sockets.connect(listener)
    server = listener.accept()
    client.send(b"hello")
    assert server.receive() == b"hello"
    assert client.socket.type == type
    assert client.socket.getpeername() == listener.address


def test_datagrams_go_to_a_path_and_to_a_name(sockets):
    for options in ({}, {"abstract": True}):
        server, client = sockets.listen_unix(type=SOCK_DGRAM, **options), sockets.socket(AF_UNIX, SOCK_DGRAM)
        client.send(b"x", to=server)
        connected = sockets.connect(server)
        connected.send(b"y")
        assert [server.receive(), server.receive()] == [b"x", b"y"]


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_an_inet_listener_is_connected_to(sockets, family):
    listener = sockets.listen_inet(family=family)
    client, server = sockets.connect(listener), listener.accept()
    server.send(b"hello")
    assert client.receive() == b"hello"
    again = sockets.connect(listener.address[:2])
    assert again.socket.getpeername()[:2] == listener.address[:2]


def test_file_is_private_and_removed_with_the_listener(sockets):
    listener = sockets.listen_unix()
    path = listener.path
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert path.parent.name.startswith("pytest-ipc-")
    listener.close()
    assert not path.parent.exists()


def test_a_given_path_has_a_given_mode_and_its_directory_stays(sockets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listener = sockets.listen_unix("here", mode=0o640)
    assert (listener.path, stat.S_IMODE(listener.path.lstat().st_mode)) == (tmp_path.resolve() / "here", 0o640)
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_other_file_at_the_path_is_kept(sockets, tmp_path):
    listener = sockets.listen_unix(tmp_path / "socket")
    (tmp_path / "socket").unlink()
    (tmp_path / "socket").write_text("mine")
    listener.close()
    assert (tmp_path / "socket").read_text() == "mine"


def test_a_path_may_be_longer_than_an_address(sockets, tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    listener = sockets.listen_unix(folder / "socket")
    assert len(os.fsencode(listener.path)) > 108
    client = sockets.connect(listener)
    other = sockets.connect(listener.path)
    other.send(b"second")
    assert listener.accept().peer_credentials() == client.peer_credentials() == Ucred.own()
    assert listener.accept().receive() == b"second"


def test_abstract_names_are_drawn_or_given(sockets):
    drawn = [sockets.listen_unix(abstract=True).address for _ in range(3)]
    assert len(set(drawn)) == 3
    given = sockets.listen_unix(abstract=b"pytest-ipc\0test")
    assert (given.address, given.path) == (b"\0pytest-ipc\0test", None)
    sockets.connect(given.address)


def test_descriptors_and_credentials_come_beside_the_data(sockets, pipe):
    left, right = sockets.pair()
    right.pass_credentials()
    ends = pipe()
    left.send(b"data", fds=[ends.writer, ends.read_fd], credentials=Ucred.own())
    message = right.receive_message(fds=2)
    assert (message.data, message.credentials) == (b"data", Ucred.own())
    writer, reader = message.fds
    writer.write(b"through")
    assert reader.read() == b"through"
    assert not os.get_inheritable(writer.fd)


def test_received_descriptors_go_with_the_scope(temporary_root):
    before = Snapshot.take(temporary_root)
    with scope() as ipc:
        left, right = ipc.sockets.pair()
        left.send(b".", fds=[left, right])
        received = right.receive_message(fds=2).fds
        listener = ipc.sockets.listen_unix()
        ipc.sockets.connect(listener)
        accepted = listener.accept()
    assert [thing.closed for thing in (*received, accepted, listener)] == [True] * 4
    assert before.left(Snapshot.take(temporary_root)) == []


def test_timeout_of_a_socket_names_the_condition(sockets):
    left, right = sockets.pair()
    listener, full = sockets.listen_unix(), sockets.listen_unix(backlog=0)
    sockets.connect(full)
    with suppress(BlockingIOError):
        while left.socket.send(bytes(65536), socket.MSG_DONTWAIT):
            pass
    waits: list[tuple[Make, str]] = [
        (
            lambda: left.send(b"x", timeout=0),
            r"waited 0 s for room to send in <UNIX stream socket.*; sendmsg\(2\) fails with EAGAIN",
        ),
        (
            lambda: left.receive(timeout=0.01),
            r"waited 0.01 s for data from <UNIX stream socket.*; nothing is there to receive",
        ),
        (
            lambda: left.receive_message(timeout=0.01),
            r"waited 0.01 s for data from <UNIX stream socket.*; nothing is there to receive",
        ),
        (
            lambda: listener.accept(timeout=0.01),
            rf"waited 0.01 s for a connection to <UNIX socket {listener.path}.*; none is pending",
        ),
        (
            lambda: sockets.connect(full, timeout=0.01),
            rf"waited 0.01 s for room for a connection in the backlog of {full.path}; ",
        ),
    ]
    for wait, text in waits:
        with pytest.raises(TimeoutError, match=text):
            wait()
    assert [end.socket.getblocking() for end in (left, right, listener)] == [True] * 3


def test_data_before_the_timeout_is_received(sockets, fork):
    left, right = sockets.pair()
    listener = sockets.listen_unix()

    def life() -> bytes:
        both: bytes = right.receive(timeout=None) + listener.accept(timeout=None).receive()
        return both

    child = fork(life)
    child.wait_blocked("poll")
    left.send(b"one")
    child.wait_blocked("poll")
    sockets.connect(listener).send(b"two")
    assert child.result() == b"onetwo"


def test_a_default_time_out_of_the_stdlib_changes_nothing(sockets):
    socket.setdefaulttimeout(30)
    try:
        left, right = sockets.pair()
        listener = sockets.listen_inet()
        client = sockets.connect(listener)
        server = listener.accept()
    finally:
        socket.setdefaulttimeout(None)
    assert [end.socket.gettimeout() for end in (left, right, listener, client, server)] == [None] * 5


def test_a_socket_that_was_asked_not_to_block_does_not(sockets):
    assert sockets.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK).socket.getblocking() is False
    assert [end.socket.getblocking() for end in sockets.pair(SOCK_STREAM | SOCK_NONBLOCK)] == [False, False]


def test_a_child_closes_its_own_copy_and_leaves_the_file(sockets, fork):
    listener = sockets.listen_unix()

    def life() -> bool:
        listener.close()
        return os.path.exists(listener.path)

    assert fork(life).result() is True
    sockets.connect(listener)
    assert listener.accept().receive(0) == b""


def test_sockets_of_a_child_end_with_it(sockets, fork):
    path = fork(lambda: str(sockets.listen_unix().path)).result()
    assert not os.path.exists(os.path.dirname(path))


def test_peer_credentials_are_read(sockets):
    listener = sockets.listen_unix()
    client = sockets.connect(listener)
    assert client.peer_credentials() == listener.accept().peer_credentials() == Ucred.own()
    assert sorted(client.peer_groups()) == sorted(os.getgroups())


def test_the_kernels_list_has_the_path(sockets):
    if unix_sockets() is None:
        pytest.skip("there is no /proc/net/unix")
    listener = sockets.listen_unix()
    assert os.fsencode(listener.path) in {row.path for row in unix_sockets() or ()}


Make = Callable[[], Any]

REFUSED: dict[str, tuple[Make, type[Exception], str]] = {
    "path and name": (lambda: Listener.unix("x", abstract=True), ValueError, "not both"),
    "empty path": (lambda: Listener.unix(""), ValueError, "cannot be the path of a UNIX socket"),
    "NUL in path": (lambda: Listener.unix("a\0b"), ValueError, "cannot be the path of a UNIX socket"),
    "path of a number": (lambda: Listener.unix(7), TypeError, "str, bytes or os.PathLike"),  # type: ignore[arg-type]
    "no directory": (lambda: Listener.unix("no/socket"), FileNotFoundError, "No such file"),
    "mode too large": (lambda: Listener.unix(mode=0o1777), ValueError, "between 0 and 0o777"),
    "mode of text": (lambda: Listener.unix(mode="600"), TypeError, "permission bits"),  # type: ignore[arg-type]
    "empty name": (lambda: Listener.unix(abstract=b""), ValueError, r"1 to 107 bytes \(sun_path\), not 0"),
    "long name": (lambda: Listener.unix(abstract=b"x" * 108), ValueError, r"1 to 107 bytes \(sun_path\), not 108"),
    "name of text": (lambda: Listener.unix(abstract="x"), TypeError, "must be bytes, or True"),  # type: ignore[arg-type]
    "unknown type": (lambda: Listener.unix(type=99), OSError, "Socket type not supported|Invalid argument"),
    "unknown family": (lambda: Listener.inet(family=AF_UNIX), ValueError, "AF_INET or AF_INET6"),
    "port too large": (lambda: Listener.inet(port=65536), OverflowError, "port must be 0-65535"),
    "foreign address": (lambda: Listener.inet("203.0.113.7"), OSError, "assign requested address"),
    "connect to a number": (lambda: Socket.connect(7), TypeError, "a listener, a path"),  # type: ignore[arg-type]
    "connect to nothing": (lambda: Socket.connect("nothing"), FileNotFoundError, "No such file"),
    "connect for -1 s": (
        lambda: Socket.connect("x", timeout=-1),
        ValueError,
        "non-negative number of seconds or None, not -1",
    ),
    "pair of no type": (lambda: Socket.pair(99), OSError, "Socket type not supported|Invalid argument"),
    "family of no kind": (lambda: Socket.create(250), OSError, "not supported"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_socket_arguments_are_rejected(case, tmp_path, temporary_root, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, error, text = REFUSED[case]
    before = Snapshot.take(temporary_root)
    with pytest.raises(error, match=text):
        make()
    assert before.left(Snapshot.take(temporary_root)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_invalid_timeout_is_rejected(sockets, timeout, error):
    left, right = sockets.pair()
    listener = sockets.listen_unix()
    left.send(b"kept")
    waits: list[Make] = [
        lambda: left.send(b"x", timeout=timeout),
        lambda: right.receive(timeout=timeout),
        lambda: right.receive_message(timeout=timeout),
        lambda: listener.accept(timeout=timeout),
        lambda: sockets.connect(listener, timeout=timeout),
    ]
    for wait in waits:
        with pytest.raises(error, match="seconds"):
            wait()
    assert right.receive() == b"kept"


@pytest.mark.parametrize("room", [-1, True, "1", 1.5])
def test_space_for_descriptors_must_be_positive(sockets, room):
    left, right = sockets.pair()
    left.send(b"kept")
    with pytest.raises(ValueError, match="fds must be a non-negative number of descriptors, not"):
        right.receive_message(fds=room)
    assert right.receive() == b"kept"


def test_a_closed_socket_is_refused(sockets):
    end, listener = sockets.pair()[0], sockets.listen_unix()
    end.close()
    listener.close()
    uses: list[tuple[str, Make]] = [
        ("UNIX stream socket", end.fileno),
        ("UNIX stream socket", lambda: end.send(b"x")),
        ("UNIX stream socket", end.receive),
        ("UNIX stream socket", end.receive_message),
        ("UNIX stream socket", end.peer_credentials),
        ("UNIX stream socket", end.shutdown),
        ("UNIX stream socket", end.pass_credentials),
        ("UNIX stream socket", lambda: end.address),
        ("UNIX socket /", listener.accept),
        ("UNIX socket /", lambda: sockets.connect(listener)),
    ]
    for name, use in uses:
        with pytest.raises(ValueError, match=f"<{name}.* is closed"):
            use()
    end.close()


def test_failed_creation_has_a_note(sockets, tmp_path):
    taken, gone = sockets.listen_unix(tmp_path / "taken"), tmp_path / "gone"
    with socket.socket(AF_UNIX) as server, short_enough(gone) as name:
        server.bind(name)
    makes: list[tuple[Make, int]] = [
        (lambda: sockets.listen_unix(taken.path), EADDRINUSE),
        (lambda: sockets.connect(gone), ECONNREFUSED),
    ]
    for make, errno in makes:
        with pytest.raises(OSError, match=r"Errno") as caught:
            make()
        assert caught.value.errno == errno
        assert COULD_NOT_MAKE in caught.value.__notes__
    assert taken.path.exists()


def test_descriptor_limit_leaks_nothing(fork, tmp_path):
    def life() -> int | None:
        with scope() as ipc:
            ipc.sockets.listen_unix(tmp_path / "first")
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 2, hard))
            try:
                ipc.sockets.listen_unix(tmp_path / "second")
            except OSError as error:
                return error.errno
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return None

    assert fork(life).result() == EMFILE
    assert os.listdir(tmp_path) == []


def test_it_works_without_a_scope():
    with Listener.unix() as listener, Socket.connect(listener) as client, listener.accept() as server:
        client.send(b"alone")
        assert server.receive() == b"alone"
    assert listener.path is not None
    assert not listener.path.parent.exists()
