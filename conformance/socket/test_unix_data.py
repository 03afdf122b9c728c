"""unix(7): what goes through a UNIX socket: bytes, datagrams, packets, and how many."""

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
def test_a_stream_has_no_boundaries(sockets):
    """A stream is bytes in order: what was sent in pieces may be received at once, and the other way round."""
    left, right = sockets.pair(SOCK_STREAM)
    for piece in (b"one", b"two", b"three"):
        send(left.fd, piece)
    assert recv(right.fd, 100) == b"onetwothree"
    send(left.fd, b"abcdef")
    assert [recv(right.fd, 4), recv(right.fd, 4)] == [b"abcd", b"ef"]


@clause("unix.dgram-boundaries-reliable", "unix(7)", "DESCRIPTION")
def test_datagrams_are_reliable_and_in_order(sockets, fork):
    """Datagrams keep their boundaries and order; when the queue is full the sender blocks, and none is ever dropped."""
    left, right = sockets.pair(SOCK_DGRAM)
    sent = 0
    try:
        while sent < 10_000:
            send(left.fd, b"%d" % sent, MSG_DONTWAIT)
            sent += 1
    except BlockingIOError:
        pass
    assert sent < 10_000, "the queue has no end"
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
    """Datagrams and packets come one by one and in order, and what does not fit the buffer is discarded."""
    left, right = sockets.pair(type)
    for message in (b"first", b"second", b"third"):
        send(left.fd, message)
    assert [recv(right.fd, 100), recv(right.fd, 3), recv(right.fd, 100)] == [b"first", b"sec", b"third"]


@BOUNDED
@clause("unix.msg_trunc-peek", "recv(2)", "DESCRIPTION", since="3.4")
def test_the_real_length_of_a_message_can_be_asked(sockets, type):
    """MSG_TRUNC gives the real length of a message that is longer than the buffer, and MSG_PEEK leaves the message there."""
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
def test_bytes_can_be_looked_at(sockets):
    """MSG_PEEK gives the first bytes of a stream and takes none."""
    left, right = sockets.pair()
    send(left.fd, b"stream")
    assert [recv(right.fd, 3, MSG_PEEK), recv(right.fd, 100, MSG_PEEK), recv(right.fd, 100)] == [
        b"str",
        b"stream",
        b"stream",
    ]


@clause("unix.sndbuf-limits-dgram", "unix(7)", "Sockets API", errno=EMSGSIZE)
def test_a_datagram_has_a_longest_length(sockets):
    """A datagram may have as many bytes as the doubled SO_SNDBUF less 32, and not one more."""
    left, right = sockets.pair(SOCK_DGRAM)
    left.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 8192)
    assert left.socket.getsockopt(SOL_SOCKET, SO_SNDBUF) == 16384
    longest = 16384 - 32
    with fails_with(EMSGSIZE):
        send(left.fd, bytes(longest + 1), MSG_DONTWAIT)
    assert send(left.fd, bytes(longest), MSG_DONTWAIT) == longest
    assert recv(right.fd, 2 * longest) == bytes(longest)


@clause("unix.rcvbuf-no-effect", "unix(7)", "Sockets API")
def test_the_receivers_buffer_size_changes_nothing(sockets, fill):
    """SO_RCVBUF has no effect: as much can be sent to a socket with the smallest as to one with the default."""
    taken = []
    for size in (None, 1):
        left, right = sockets.pair()
        if size is not None:
            right.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, size)
        taken.append(fill(left))
    assert taken[0] == taken[1] > 0


@clause("unix.siocinq", "unix(7)", "Ioctls")
def test_unread_bytes_are_counted(sockets, unread):
    """SIOCINQ gives the number of bytes in a stream that have not been received."""
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
def test_a_listener_has_no_unread_bytes(sockets, unread):
    """SIOCINQ fails on a socket that listens."""
    listener = sockets.listen_unix()
    with fails_with(EINVAL):
        unread(listener)


@pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"])
@clause("unix.msg_oob", "unix(7)", "Sockets API", errno=EOPNOTSUPP, disputed="streams take it since Linux 5.15")
def test_there_is_no_out_of_band_data(sockets, type):
    """MSG_OOB is not supported: sending with it fails and sends nothing."""
    left, right = sockets.pair(type)
    try:
        with fails_with(EOPNOTSUPP):
            send(left.fd, b"!", MSG_OOB)
    except Deviation:
        if type == SOCK_STREAM and recv(right.fd, 1, MSG_OOB) == b"!":
            disputed(manual="that MSG_OOB is not supported", linux="takes and gives out-of-band data on a stream")
        raise
    with fails_with(EAGAIN):
        recv(right.fd, 1, MSG_DONTWAIT)


@pytest.mark.parametrize("type", [SOCK_DGRAM, SOCK_SEQPACKET], ids=["datagram", "seqpacket"])
@clause("unix.empty-message", "send(2)", "DESCRIPTION")
def test_a_message_may_be_empty(sockets, type):
    """A message of no bytes is a message: it is received as one, between those before and after it."""
    left, right = sockets.pair(type)
    for message in (b"before", b"", b"after"):
        send(left.fd, message)
    assert [recv(right.fd, 10) for _ in range(3)] == [b"before", b"", b"after"]
