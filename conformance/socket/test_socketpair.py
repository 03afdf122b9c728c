"""socketpair(2) and shutdown(2): connected pairs of sockets of every type."""

from __future__ import annotations

import fcntl
import os
from ctypes import addressof, c_int
from errno import EAFNOSUPPORT, EFAULT, EMFILE, ENOTCONN, EOPNOTSUPP, EPIPE, EPROTONOSUPPORT
from socket import (
    AF_INET,
    AF_UNIX,
    MSG_NOSIGNAL,
    SHUT_RD,
    SHUT_WR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import getpeername, getsockname, recv, send, socketpair

from .conftest import leave_room_for

TYPES = pytest.mark.parametrize(
    "type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"]
)
CONNECTED = pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_SEQPACKET], ids=["stream", "seqpacket"])


@TYPES
@clause("socketpair.types-flags", "socketpair(2)", "SOCK_CLOEXEC", since="2.6.27")
def test_flags_are_set_on_both_descriptors(raw_pair, type):
    """SOCK_CLOEXEC and SOCK_NONBLOCK in the type of socketpair() set the flags on both descriptors; without them
    neither is set.
    """
    for flags in (0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK):
        for fd in raw_pair(type | flags):
            assert bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC) == bool(flags & SOCK_CLOEXEC)
            assert bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK) == bool(flags & SOCK_NONBLOCK)


@pytest.mark.parametrize(
    ("arguments", "errno"),
    [
        pytest.param((250, SOCK_STREAM), EAFNOSUPPORT, id="unknown-family-eafnosupport"),
        pytest.param((AF_UNIX, SOCK_STREAM, 7), EPROTONOSUPPORT, id="unknown-protocol-eprotonosupport"),
        pytest.param((AF_INET, SOCK_STREAM), EOPNOTSUPP, id="no-pairs-in-family-eopnotsupp"),
        pytest.param((AF_UNIX, SOCK_STREAM, 0, 8), EFAULT, id="bad-address-efault"),
    ],
)
@clause("socketpair.errors", "socketpair(2)", "ERRORS")
def test_invalid_arguments_fail(arguments, errno):
    """socketpair() fails for an unknown family (EAFNOSUPPORT) or protocol (EPROTONOSUPPORT), a family without pairs
    (EOPNOTSUPP) and an invalid address (EFAULT).
    """
    before = os.dup(0)
    os.close(before)
    with fails_with(errno):
        socketpair(*arguments)
    after = os.dup(0)
    os.close(after)
    assert after == before, "a failed socketpair() must not leak a descriptor"


@clause("socketpair.emfile", "socketpair(2)", "ERRORS", errno=EMFILE)
def test_pair_needs_two_descriptors(fork):
    """socketpair() fails with EMFILE if the limit of open descriptors permits fewer than two more."""

    def life() -> int:
        for room in (0, 1):
            leave_room_for(room)
            with fails_with(EMFILE):
                socketpair(AF_UNIX, SOCK_STREAM)
            leave_room_for(2)
        return len(set(socketpair(AF_UNIX, SOCK_STREAM)))

    assert fork(life).result() == 2


@pytest.mark.parametrize("errno", [EMFILE, EAFNOSUPPORT], ids=["emfile", "eafnosupport"])
@clause(
    "socketpair.sv-unchanged",
    "socketpair(2)",
    "RETURN VALUE",
    disputed="sv contains two reserved descriptor numbers",
)
def test_failure_does_not_change_sv(fork, errno):
    """socketpair() does not change sv if it fails."""

    def life() -> tuple[int, int]:
        sv = (c_int * 2)(-7, -8)
        if errno == EMFILE:
            leave_room_for(1)
        with fails_with(errno):
            socketpair(AF_UNIX if errno == EMFILE else 250, SOCK_STREAM, 0, addressof(sv))
        return sv[0], sv[1]

    left = fork(life).result()
    if errno == EAFNOSUPPORT and min(left) >= 0:
        disputed(manual="sv is unchanged", linux="stores the descriptor numbers that it had reserved")
    assert left == (-7, -8)


@TYPES
@clause("socketpair.indistinguishable-bidirectional", "socketpair(2)", "DESCRIPTION")
def test_both_sockets_are_equivalent(raw_pair, type):
    """Each socket of a pair receives what is sent on the other; neither has a name."""
    ends = raw_pair(type)
    for one, other in (ends, ends[::-1]):
        assert send(one, b"there") == 5
        assert recv(other, 10) == b"there"
        assert getsockname(one) == getpeername(one)
        assert getsockname(one)[1] == 2


@CONNECTED
@clause("socketpair.shutdown-halves", "shutdown(2)", "DESCRIPTION")
def test_shut_wr_ends_one_direction(sockets, type):
    """After shutdown() with SHUT_WR the peer receives the sent data and then end-of-file, and can still send."""
    left, right = sockets.pair(type)
    send(left.fd, b"last")
    left.shutdown(SHUT_WR)
    assert [recv(right.fd, 10), recv(right.fd, 10), recv(right.fd, 10)] == [b"last", b"", b""]
    assert send(right.fd, b"still") == 5
    assert recv(left.fd, 10) == b"still"


@CONNECTED
@clause("socketpair.shutdown-write-epipe", "shutdown(2)", "DESCRIPTION", errno=EPIPE)
def test_send_after_shut_wr_fails(sockets, type):
    """After shutdown() with SHUT_WR send() fails with EPIPE on every descriptor of the socket."""
    left, right = sockets.pair(type)
    with os.fdopen(os.dup(left.fd), "wb") as duplicate:
        left.shutdown(SHUT_WR)
        for fd in (left.fd, duplicate.fileno()):
            with fails_with(EPIPE):
                send(fd, b"x", MSG_NOSIGNAL)
    assert recv(right.fd, 1) == b""


@CONNECTED
@clause("socketpair.shutdown-read", "shutdown(2)", "DESCRIPTION")
def test_shut_rd_wakes_blocked_receiver(sockets, fork, type):
    """shutdown() with SHUT_RD wakes a receiver blocked on the socket, which gets end-of-file."""
    left, _right = sockets.pair(type)
    reader = fork(recv, left.fd, 1)
    reader.wait_blocked("recv")
    left.shutdown(SHUT_RD)
    assert reader.result() == b""
    assert recv(left.fd, 1) == b""


@clause("shutdown.enotconn", "shutdown(2)", "ERRORS", errno=ENOTCONN)
def test_shutdown_of_unconnected_socket_fails(sockets):
    """shutdown() fails with ENOTCONN on a socket that is not connected."""
    for how in (SHUT_RD, SHUT_WR):
        with fails_with(ENOTCONN):
            sockets.socket(AF_INET, SOCK_STREAM).shutdown(how)
