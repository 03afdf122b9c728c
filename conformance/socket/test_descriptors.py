"""unix(7): passing descriptors to another process (SCM_RIGHTS)."""

from __future__ import annotations

import fcntl
import os
import resource
from array import array
from errno import EAGAIN, EBADF, EINVAL, ETOOMANYREFS
from socket import (
    CMSG_LEN,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    SCM_RIGHTS,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
)

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import SCM_MAX_FD, Deadline, Ucred, capabilities, open_descriptors, recv

from ..credentials import GROUP, STRANGER, become, limit_process
from .conftest import leave_room_for

MESSAGES = "Ancillary messages"
TYPES = pytest.mark.parametrize(
    "type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"]
)


def ended(pipe) -> bool:
    """Return whether a pipe, whose write end is closed here, has no writer anywhere."""
    os.set_blocking(pipe.read_fd, False)
    try:
        return os.read(pipe.read_fd, 1) == b""
    except BlockingIOError:
        return False


def ends(pipe) -> bool:
    """Return whether the last writer of a pipe disappears, at once or later: the manual does not say when."""
    return Deadline(2).until(lambda: ended(pipe))


@TYPES
@clause("unix.scm_rights-basic", "unix(7)", MESSAGES)
def test_received_descriptor_refers_to_same_open_file(sockets, tmp_path, fork, type):
    """A descriptor passed with SCM_RIGHTS refers to the same open file description in the receiver, with one offset
    and one set of flags.
    """
    left, right = sockets.pair(type)
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb", buffering=0) as file:
        file.seek(4)
        left.send(b".", fds=[file.fileno()])

        def life() -> bytes:
            received = right.receive_message(fds=1).fds
            assert len(received) == 1
            data: bytes = received[0].read(2)
            fcntl.fcntl(received[0].fd, fcntl.F_SETFL, os.O_APPEND)
            return data

        assert fork(life).result() == b"45"
        assert file.tell() == 6
        assert fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND


@clause("unix.scm_rights-order", "unix(7)", MESSAGES)
def test_descriptors_arrive_in_order(sockets, pipe):
    """Several descriptors in one message arrive in order, each with an unused number."""
    left, right = sockets.pair()
    pipes = [pipe() for _ in range(3)]
    before = set(open_descriptors())
    left.send(b".", fds=[each.write_fd for each in pipes])
    received = right.receive_message(fds=3).fds
    assert len(received) == 3
    assert not before & {each.fd for each in received}
    for number, each in enumerate(received):
        each.write(b"%d" % number)
    assert [each.read() for each in pipes] == [b"0", b"1", b"2"]


@clause("unix.scm_rights-ebadf", "unix(7)", "ERRORS", errno=EBADF)
def test_invalid_descriptor_fails(sockets, pipe):
    """sendmsg() fails with EBADF if one of the SCM_RIGHTS descriptors is invalid, and sends nothing."""
    left, right = sockets.pair()
    fd = pipe().read_fd
    unused = max(open_descriptors()) + 1
    for fds in ([unused], [-1], [fd, unused]):
        with fails_with(EBADF):
            left.send(b"x", fds=fds)
    with fails_with(EAGAIN):
        recv(right.fd, 1, MSG_DONTWAIT)


@clause("unix.scm_rights-max-253", "unix(7)", MESSAGES, errno=EINVAL)
def test_more_than_253_descriptors_fail(sockets, pipe):
    """A message may carry up to 253 descriptors; sendmsg() fails with EINVAL for more."""
    left, right = sockets.pair()
    fd = pipe().read_fd
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < max(open_descriptors()) + SCM_MAX_FD + 1:
        untested(Need.PROCESS_LIMITS, "needs room for 253 more descriptors: RLIMIT_NOFILE")
    with fails_with(EINVAL):
        left.send(b"x", fds=[fd] * (SCM_MAX_FD + 1))
    left.send(b"y", fds=[fd] * SCM_MAX_FD)
    message = right.receive_message(fds=SCM_MAX_FD)
    assert (message.data, len(message.fds)) == (b"y", SCM_MAX_FD)


@pytest.mark.parametrize("room", [0, CMSG_LEN(0), CMSG_LEN(4)], ids=["no-room", "room-for-none", "room-for-one"])
@clause("unix.scm_rights-truncated-closed", "unix(7)", MESSAGES)
def test_descriptors_beyond_buffer_are_closed(sockets, pipe, room):
    """Descriptors that do not fit the receiver's control buffer are closed, and MSG_CTRUNC is set."""
    left, right = sockets.pair()
    pipes = [pipe() for _ in range(3)]
    left.send(b".", fds=[each.write_fd for each in pipes])
    for each in pipes:
        each.close_write()
    assert not any(ended(each) for each in pipes), "descriptors in transit must stay open"
    before = open_descriptors()
    data, ancillary, flags, _ = right.socket.recvmsg(10, room)
    got = [fd for _, _, value in ancillary for fd in array("i", value[: len(value) // 4 * 4])]
    try:
        assert (data, bool(flags & MSG_CTRUNC)) == (b".", True)
        assert len(got) == (room == CMSG_LEN(4))
        assert sorted(set(open_descriptors()) - set(before)) == got
        assert [ends(each) for each in pipes[len(got) :]] == [True] * (3 - len(got))
        assert not any(ended(each) for each in pipes[: len(got)])
    finally:
        for fd in got:
            os.close(fd)


@clause("unix.scm_rights-nofile-excess", "unix(7)", MESSAGES)
def test_descriptors_above_limit_are_closed(sockets, pipe, fork):
    """Descriptors that would exceed the receiver's RLIMIT_NOFILE are closed; those before them are received."""
    left, right = sockets.pair()
    pipes = [pipe() for _ in range(3)]
    left.send(b".", fds=[each.write_fd for each in pipes])
    for each in pipes:
        each.close_write()

    def life() -> tuple[int, list[bool]]:
        leave_room_for(1)
        message = right.receive_message(fds=3)
        return len(message.fds), [ended(pipes[0]), ends(pipes[1]), ends(pipes[2])]

    assert fork(life).result() == (1, [False, True, True])


@clause("unix.scm_rights-etoomanyrefs", "unix(7)", "ERRORS", errno=ETOOMANYREFS)
def test_too_many_descriptors_in_transit_fail(sockets, fork):
    """sendmsg() by an unprivileged process fails with ETOOMANYREFS if more than about RLIMIT_NOFILE descriptors are
    in transit.
    """
    left, right = sockets.pair()

    def life() -> int:
        limit = 100
        limit_process("NOFILE", limit, limit)
        if capabilities() != 0:
            become(STRANGER, GROUP)
        message = [(SOL_SOCKET, SCM_RIGHTS, array("i", [right.fd] * 10))]
        with fails_with(ETOOMANYREFS):
            for _ in range(30):
                left.socket.sendmsg([b"x"], message, MSG_DONTWAIT)
        return len(right.receive_message(fds=10).fds)

    assert fork(life).result() == 10


@clause("unix.scm_rights-cmsg_cloexec", "recvmsg(2)", "DESCRIPTION", since="2.6.23")
def test_msg_cmsg_cloexec_sets_close_on_exec(sockets, pipe):
    """recvmsg() with MSG_CMSG_CLOEXEC sets close-on-exec on received descriptors; without it they have none,
    whatever the sender's flag.
    """
    left, right = sockets.pair()
    for flag in (0, MSG_CMSG_CLOEXEC):
        left.send(b".", fds=[pipe().read_fd])
        _, ((_, _, value),), _, _ = right.socket.recvmsg(1, CMSG_LEN(4), flag)
        (fd,) = array("i", value)
        inheritable = os.get_inheritable(fd)
        os.close(fd)
        assert inheritable == (flag == 0)


@clause("unix.scm_rights-survives-sender-exit", "unix(7)", MESSAGES)
def test_descriptor_in_transit_outlives_sender(sockets, pipe, fork):
    """A descriptor in transit keeps its file open until it is received, even if the sender has closed it and exited."""
    left, right = sockets.pair()
    carried = pipe()
    fork(left.send, b".", fds=[carried.write_fd]).result()
    carried.close_write()
    left.close()
    assert not ended(carried)
    with right.receive_message(fds=1).fds[0] as received:
        received.write(b"late")
        assert carried.read() == b"late"
    assert ended(carried)


@clause("unix.scm_rights-dropped-with-socket", "unix(7)", MESSAGES)
def test_unreceived_descriptors_are_closed_with_socket(sockets, pipe):
    """Descriptors that were not received are closed when the receiving socket is closed."""
    left, right = sockets.pair()
    carried = pipe()
    left.send(b".", fds=[carried.write_fd])
    carried.close_write()
    assert not ended(carried)
    right.close()
    assert ends(carried)


@clause("unix.scm_rights-own-socket", "unix(7)", MESSAGES)
def test_socket_can_be_sent_through_itself(sockets):
    """A connected socket can be passed over its own connection."""
    left, right = sockets.pair()
    left.send(b"first", fds=[right])
    message = right.receive_message(fds=1)
    left.send(b"second")
    assert (message.data, [fd.read() for fd in message.fds]) == (b"first", [b"second"])


@clause("unix.one-item-per-type", "unix(7)", MESSAGES)
def test_descriptors_and_credentials_in_one_message(sockets, pipe):
    """One message may carry an item of each type: descriptors and credentials arrive together."""
    left, right = sockets.pair()
    right.pass_credentials()
    left.send(b".", fds=[pipe().read_fd], credentials=Ucred.own())
    message = right.receive_message(fds=1)
    assert (len(message.fds), message.credentials) == (1, Ucred.own())


@clause("unix.ancillary-barrier", "unix(7)", MESSAGES)
def test_ancillary_data_is_a_barrier(sockets, pipe):
    """On a stream a receive ends after the bytes that ancillary data was sent with; later bytes need another
    receive.
    """
    left, right = sockets.pair()
    left.send(b"four")
    left.send(b"!", fds=[pipe().read_fd])
    left.send(b"more")
    for data, count in ((b"four!", 1), (b"more", 0)):
        message = right.receive_message(20, fds=1)
        assert (message.data, len(message.fds)) == (data, count)


@clause("unix.ancillary-needs-data-stream", "unix(7)", MESSAGES)
def test_ancillary_data_on_stream_needs_data(sockets, pipe):
    """On a stream socket ancillary data without at least one byte of real data is not sent."""
    left, right = sockets.pair()
    carried = pipe()
    left.send(b"", fds=[carried.write_fd])
    carried.close_write()
    assert ended(carried)
    with fails_with(EAGAIN):
        right.socket.recvmsg(1, CMSG_LEN(4), MSG_DONTWAIT)


@clause("unix.ancillary-without-data-dgram", "unix(7)", MESSAGES)
def test_datagram_may_consist_of_ancillary_data(sockets, pipe):
    """A datagram may carry descriptors without any data."""
    left, right = sockets.pair(SOCK_DGRAM)
    left.send(b"", fds=[pipe().read_fd])
    message = right.receive_message(fds=1)
    assert (message.data, len(message.fds)) == (b"", 1)
