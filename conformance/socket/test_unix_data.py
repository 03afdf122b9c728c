"""unix(7): transfer of bytes, datagrams and packets over UNIX sockets, and its limits."""

from __future__ import annotations

from errno import EAGAIN, EINVAL, EMSGSIZE, EOPNOTSUPP
from socket import (
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    SO_RCVBUF,
    SO_SNDBUF,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
)

import pytest

from pytest_ipc import Deviation, clause, disputed, fails_with
from pytest_ipc.kernel import recv, send

BOUNDED = pytest.mark.parametrize("type", [SOCK_DGRAM, SOCK_SEQPACKET], ids=["datagram", "seqpacket"])


@clause("unix.stream-bytes", "unix(7)", "DESCRIPTION")
def test_stream_has_no_boundaries(sockets):
    """A stream socket preserves the order of bytes but no boundaries: one receive may return several sends, or part
    of one.
    """
    left, right = sockets.pair(SOCK_STREAM)
    for piece in (b"one", b"two", b"three"):
        send(left.fd, piece)
    assert recv(right.fd, 100) == b"onetwothree"
    send(left.fd, b"abcdef")
    assert [recv(right.fd, 4), recv(right.fd, 4)] == [b"abcd", b"ef"]


@clause("unix.dgram-boundaries-reliable", "unix(7)", "DESCRIPTION")
def test_datagrams_are_reliable_and_in_order(sockets, fork):
    """UNIX datagrams preserve boundaries and order; send() blocks if the queue is full, and no datagram is dropped."""
    left, right = sockets.pair(SOCK_DGRAM)
    sent = 0
    try:
        while sent < 10_000:
            send(left.fd, b"%d" % sent, MSG_DONTWAIT)
            sent += 1
    except BlockingIOError:
        pass
    assert sent < 10_000, "the queue must become full"
    sender = fork(send, left.fd, b"%d" % sent)
    sender.wait_blocked("send")
    got = [recv(right.fd, 100) for _ in range(sent + 1)]
    assert sender.result() == len(b"%d" % sent)
    assert got == [b"%d" % number for number in range(sent + 1)]
    with fails_with(EAGAIN):
        recv(right.fd, 100, MSG_DONTWAIT)


@BOUNDED
@clause("unix.seqpacket-boundaries", "unix(7)", "DESCRIPTION")
def test_messages_keep_their_boundaries(sockets, type):
    """Datagram and seqpacket sockets deliver one message per receive, in order, and discard the excess of a longer
    message.
    """
    left, right = sockets.pair(type)
    for message in (b"first", b"second", b"third"):
        send(left.fd, message)
    assert [recv(right.fd, 100), recv(right.fd, 3), recv(right.fd, 100)] == [b"first", b"sec", b"third"]


@BOUNDED
@clause("unix.msg_trunc-peek", "recv(2)", "DESCRIPTION", since="3.4")
def test_msg_trunc_returns_real_length(sockets, type):
    """recv() with MSG_TRUNC returns the real length of a message longer than the buffer, and MSG_PEEK keeps it in
    the queue.
    """
    left, right = sockets.pair(type)
    send(left.fd, b"0123456789")
    room = bytearray(4)
    assert right.socket.recv_into(room, 4, MSG_PEEK | MSG_TRUNC) == 10
    assert bytes(room) == b"0123"
    assert right.socket.recvmsg(4, 0, MSG_PEEK)[2] & MSG_TRUNC
    assert recv(right.fd, 100) == b"0123456789"
    with fails_with(EAGAIN):
        recv(right.fd, 100, MSG_DONTWAIT)


@clause("unix.stream-peek", "recv(2)", "DESCRIPTION")
def test_msg_peek_does_not_remove_data(sockets):
    """recv() with MSG_PEEK returns the first bytes of a stream without removing them."""
    left, right = sockets.pair()
    send(left.fd, b"stream")
    assert [recv(right.fd, 3, MSG_PEEK), recv(right.fd, 100, MSG_PEEK), recv(right.fd, 100)] == [
        b"str",
        b"stream",
        b"stream",
    ]


@clause("unix.sndbuf-limits-dgram", "unix(7)", "Sockets API", errno=EMSGSIZE)
def test_too_long_datagram_fails(sockets):
    """A UNIX datagram may have twice SO_SNDBUF minus 32 bytes; send() fails with EMSGSIZE for one byte more."""
    left, right = sockets.pair(SOCK_DGRAM)
    left.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 8192)
    assert left.socket.getsockopt(SOL_SOCKET, SO_SNDBUF) == 16384
    longest = 16384 - 32
    with fails_with(EMSGSIZE):
        send(left.fd, bytes(longest + 1), MSG_DONTWAIT)
    assert send(left.fd, bytes(longest), MSG_DONTWAIT) == longest
    assert recv(right.fd, 2 * longest) == bytes(longest)


@clause("unix.rcvbuf-no-effect", "unix(7)", "Sockets API")
def test_so_rcvbuf_has_no_effect(sockets, fill):
    """SO_RCVBUF of a UNIX socket has no effect: the peer can send as much with the smallest as with the default
    value.
    """
    taken = []
    for size in (None, 1):
        left, right = sockets.pair()
        if size is not None:
            right.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, size)
        taken.append(fill(left))
    assert taken[0] == taken[1] > 0


@clause("unix.siocinq", "unix(7)", "Ioctls")
def test_siocinq_returns_unread_bytes(sockets, unread):
    """SIOCINQ returns the number of unread bytes of a stream socket."""
    left, right = sockets.pair()
    counts = [unread(right)]
    send(left.fd, b"four")
    send(left.fd, b"five5")
    counts.append(unread(right))
    recv(right.fd, 3)
    counts.append(unread(right))
    assert counts == [0, 9, 6]
    assert unread(left) == 0


@clause("unix.siocinq-listening-einval", "unix(7)", "Ioctls", errno=EINVAL)
def test_siocinq_of_listener_fails(sockets, unread):
    """SIOCINQ fails with EINVAL on a listening socket."""
    listener = sockets.listen_unix()
    with fails_with(EINVAL):
        unread(listener)


@pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"])
@clause("unix.msg_oob", "unix(7)", "Sockets API", errno=EOPNOTSUPP, disputed="supported on streams since Linux 5.15")
def test_msg_oob_fails(sockets, type):
    """send() with MSG_OOB fails with EOPNOTSUPP on a UNIX socket and sends nothing."""
    left, right = sockets.pair(type)
    try:
        with fails_with(EOPNOTSUPP):
            send(left.fd, b"!", MSG_OOB)
    except Deviation:
        if type == SOCK_STREAM and recv(right.fd, 1, MSG_OOB) == b"!":
            disputed(manual="MSG_OOB is not supported", linux="supports out-of-band data on stream sockets")
        raise
    with fails_with(EAGAIN):
        recv(right.fd, 1, MSG_DONTWAIT)


@pytest.mark.parametrize("type", [SOCK_DGRAM, SOCK_SEQPACKET], ids=["datagram", "seqpacket"])
@clause("unix.empty-message", "send(2)", "DESCRIPTION")
def test_message_may_be_empty(sockets, type):
    """A message of 0 bytes is received as a message of its own, in order."""
    left, right = sockets.pair(type)
    for message in (b"before", b"", b"after"):
        send(left.fd, message)
    assert [recv(right.fd, 10) for _ in range(3)] == [b"before", b"", b"after"]
