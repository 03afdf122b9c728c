"""listen(2), accept(2), connect(2), proc(5): the queue of connections, and /proc/net/unix."""

from __future__ import annotations

import os
from errno import EAGAIN, EINVAL, ENOTCONN, EOPNOTSUPP
from socket import AF_UNIX, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import accept4, connect, getpeername, recv, send, unix_address, unix_sockets

CONNECTED = pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_SEQPACKET], ids=["stream", "seqpacket"])


@CONNECTED
@clause("unix.listen-backlog-blocks", "connect(2)", "ERRORS", errno=EAGAIN)
def test_connect_to_full_queue_blocks(sockets, beside, fork, type):
    """connect() to a listener with a full queue blocks until accept() takes a connection; a nonblocking connect()
    fails with EAGAIN.
    """
    listener = sockets.listen_unix(type=type, backlog=1)
    address = unix_address(os.fsencode(beside(listener)) + b"\0")

    def fill() -> int:
        for count in range(100):
            try:
                connect(sockets.socket(AF_UNIX, type | SOCK_NONBLOCK).fd, address)
            except BlockingIOError:
                return count
        return 100

    queued = fill()
    assert 1 <= queued <= 2
    with fails_with(EAGAIN):
        connect(sockets.socket(AF_UNIX, type | SOCK_NONBLOCK).fd, address)
    late = sockets.socket(AF_UNIX, type)
    client = fork(connect, late.fd, address)
    client.wait_blocked("connect")
    listener.accept()
    client.result()
    assert [listener.accept().peer_credentials().pid for _ in range(queued)][-1] == client.pid


@CONNECTED
@clause("unix.accept-blocks", "accept(2)", "DESCRIPTION")
def test_accept_waits_for_connection(sockets, fork, type):
    """accept() blocks until a client connects and returns a socket connected to that client."""
    listener = sockets.listen_unix(type=type)

    def life() -> bytes:
        return recv(accept4(listener.fd), 10)

    server = fork(life)
    server.wait_blocked("accept")
    client = sockets.connect(listener)
    server.wait_blocked("recv")
    send(client.fd, b"hello")
    assert server.result() == b"hello"


@clause("unix.accept-eagain", "accept(2)", "ERRORS", errno=EAGAIN)
def test_nonblocking_accept_fails(sockets):
    """accept() on a nonblocking listener fails with EAGAIN if no connection is pending."""
    listener = sockets.listen_unix()
    listener.socket.setblocking(False)
    with fails_with(EAGAIN):
        accept4(listener.fd)


@clause("unix.accept4-flags", "accept(2)", "DESCRIPTION", since="2.6.28")
def test_accept4_sets_flags(sockets):
    """accept4() with SOCK_CLOEXEC and SOCK_NONBLOCK sets these flags on the new descriptor, whatever the listener's
    flags.
    """
    listener = sockets.listen_unix()
    for flags in (0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK):
        listener.socket.setblocking(not flags & SOCK_NONBLOCK)
        sockets.connect(listener)
        fd = accept4(listener.fd, flags)
        listener.socket.setblocking(True)
        found = os.get_inheritable(fd), os.get_blocking(fd)
        os.close(fd)
        assert found == (not flags & SOCK_CLOEXEC, not flags & SOCK_NONBLOCK)


@pytest.mark.usefixtures("room_to_listen")
@clause("unix.accept-in-order", "listen(2)", "DESCRIPTION")
def test_data_sent_before_accept_is_received(sockets):
    """A client may send before accept(), and connections are accepted in the order in which they were made."""
    listener = sockets.listen_unix()
    for word in (b"first", b"second", b"third"):
        send(sockets.connect(listener).fd, word)
    assert [listener.accept().receive() for _ in range(3)] == [b"first", b"second", b"third"]


@clause("unix.accept-not-listening-einval", "accept(2)", "ERRORS", errno=EINVAL)
def test_accept_of_non_listener_fails(sockets, raw_pair):
    """accept() fails with EINVAL on a socket that does not listen."""
    for fd in (sockets.socket().fd, raw_pair()[0]):
        with fails_with(EINVAL):
            accept4(fd)


@clause("unix.dgram-listen-eopnotsupp", "listen(2)", "ERRORS", errno=EOPNOTSUPP)
def test_listen_on_datagram_socket_fails(sockets):
    """listen() and accept() fail with EOPNOTSUPP on a datagram socket."""
    server = sockets.listen_unix(type=SOCK_DGRAM)
    with fails_with(EOPNOTSUPP):
        server.socket.listen()
    with fails_with(EOPNOTSUPP):
        accept4(server.fd)


@CONNECTED
@clause("unix.not-connected-enotconn", "send(2)", "ERRORS", errno=ENOTCONN)
def test_send_without_connection_fails(sockets, type):
    """send() and getpeername() fail with ENOTCONN on a stream or seqpacket socket that is not connected."""
    alone = sockets.socket(AF_UNIX, type)
    with fails_with(ENOTCONN):
        send(alone.fd, b"x", MSG_NOSIGNAL)
    with fails_with(ENOTCONN):
        getpeername(alone.fd)


@clause("unix.proc-net-unix", "proc_net(5)", "/proc/net/unix")
def test_proc_net_unix_lists_sockets(sockets):
    """/proc/net/unix has a line for each UNIX socket with its type, state, inode and path, where @ replaces the
    leading null byte of an abstract address.
    """
    if unix_sockets() is None:
        untested(Need.PROC_FILES, "needs /proc/net/unix")
    by_path, by_name = sockets.listen_unix(), sockets.listen_unix(abstract=True, type=SOCK_DGRAM)
    rows = {row.inode: row for row in unix_sockets() or ()}
    inodes = [os.fstat(each.fd).st_ino for each in (by_path, by_name)]
    assert rows.keys() >= set(inodes)
    listening, bound = (rows[inode] for inode in inodes)
    unconnected, accepts = 1, 1 << 16
    assert (listening.type, listening.state, listening.flags & accepts) == (SOCK_STREAM, unconnected, accepts)
    assert listening.path == os.fsencode(by_path.address)
    assert (bound.type, bound.flags & accepts, bound.path) == (SOCK_DGRAM, 0, b"@" + by_name.address[1:])
    left, right = sockets.pair()
    rows = {row.inode: row for row in unix_sockets() or ()}
    assert {(rows[os.fstat(end.fd).st_ino].state, rows[os.fstat(end.fd).st_ino].path) for end in (left, right)} == {
        (3, b"")
    }
    inode = os.fstat(left.fd).st_ino
    left.close()
    assert inode not in {row.inode for row in unix_sockets() or ()}
