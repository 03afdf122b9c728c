"""Options of UNIX sockets that no manual page has yet: SO_PASSRIGHTS of Linux 6.16, and what else SO_PASSPIDFD of 6.5 does."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, ENOPROTOOPT, EPERM
from socket import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET

import pytest

from pytest_ipc import Socket, clause, fails_with, untested
from pytest_ipc.kernel import SCM_PIDFD, SO_PASSPIDFD, SO_PASSRIGHTS

TYPES = pytest.mark.parametrize(
    "type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"]
)


def pass_rights(receiver: Socket, on: bool) -> None:
    """Set SO_PASSRIGHTS. Untested on a kernel that says it is newer and does not know it."""
    try:
        receiver.socket.setsockopt(SOL_SOCKET, SO_PASSRIGHTS, on)
    except OSError as error:
        if error.errno != ENOPROTOOPT:
            raise
        untested("needs a kernel that knows SO_PASSRIGHTS")


@clause("unix.so_passrights-default", "net/unix/af_unix.c", "SO_PASSRIGHTS", since="6.16")
@TYPES
def test_descriptors_are_received_by_default(sockets, type):
    """SO_PASSRIGHTS is a boolean of the receiver, which is set by default: descriptors are passed until it is cleared."""
    left, right = sockets.pair(type)
    pass_rights(right, True)
    assert [end.socket.getsockopt(SOL_SOCKET, SO_PASSRIGHTS) for end in sockets.pair(type)] == [1, 1]
    pass_rights(right, False)
    assert [end.socket.getsockopt(SOL_SOCKET, SO_PASSRIGHTS) for end in (left, right)] == [1, 0]


@clause("unix.so_passrights-eperm", "net/unix/af_unix.c", "SO_PASSRIGHTS", errno=EPERM, since="6.16")
@TYPES
def test_descriptors_can_be_refused(sockets, type):
    """A message with descriptors to a socket whose SO_PASSRIGHTS is cleared fails and is not sent; one without is sent."""
    left, right = sockets.pair(type)
    pass_rights(right, False)
    with fails_with(EPERM):
        left.send(b"refused", fds=[0])
    left.send(b"sent")
    assert right.receive() == b"sent"
    right.send(b"back", fds=[0])
    assert len(left.receive_message(fds=1).fds) == 1


@clause("unix.so_passrights-again", "net/unix/af_unix.c", "SO_PASSRIGHTS", since="6.16")
def test_descriptors_can_be_let_in_again(sockets):
    """When SO_PASSRIGHTS is set again descriptors are received again."""
    left, right = sockets.pair()
    pass_rights(right, False)
    pass_rights(right, True)
    left.send(b"!", fds=[0])
    assert len(right.receive_message(fds=1).fds) == 1


@clause("unix.so_passrights-accepted", "net/unix/af_unix.c", "SO_PASSRIGHTS", errno=EPERM, since="6.16")
def test_accepted_sockets_have_the_listeners_setting(sockets):
    """A socket that is accepted has the setting of its listener from the first message on."""
    listener = sockets.listen_unix()
    pass_rights(listener, False)
    caller = sockets.connect(listener)
    with fails_with(EPERM):
        caller.send(b"!", fds=[0])
    assert listener.accept().socket.getsockopt(SOL_SOCKET, SO_PASSRIGHTS) == 0


@contextmanager
def pidfd_of(receiver: Socket) -> Iterator[int | None]:
    """The descriptor of its sender that the next message comes with, or None."""
    found = [array("i", value)[0] for _, kind, value in receiver.socket.recvmsg(16, 256)[1] if kind == SCM_PIDFD]
    yield found[0] if found else None
    for fd in found:
        os.close(fd)


def pid_of(fd: int) -> int:
    """The process that a pidfd stands for, as /proc has it."""
    try:
        with open(f"/proc/self/fdinfo/{fd}") as info:
            return next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
    except OSError as error:
        untested(f"needs /proc/PID/fdinfo: {error.strerror}")


@clause("unix.scm_pidfd-types", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
@TYPES
def test_every_type_gives_the_sender(sockets, fork, type):
    """With SO_PASSPIDFD a message of every type of socket comes with a descriptor for the process that has sent it."""
    left, right = sockets.pair(type)
    right.pass_pidfd()
    for _ in range(2):
        child = fork(left.send, b"!")
        with pidfd_of(right) as fd:
            assert fd is not None
            assert pid_of(fd) in (child.pid, -1)
    left.send(b"!")
    with pidfd_of(right) as fd:
        assert fd is not None
        assert pid_of(fd) == os.getpid()


@clause("unix.scm_pidfd-only-where-asked", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
def test_no_sender_is_given_unasked(sockets):
    """Without SO_PASSPIDFD, as it is by default and when it was cleared, no message comes with a descriptor for its sender."""
    left, right = sockets.pair()
    right.pass_pidfd()
    right.pass_pidfd(False)
    assert right.socket.getsockopt(SOL_SOCKET, SO_PASSPIDFD) == 0
    for receiver, sender in ((right, left), (left, right)):
        sender.send(b"!")
        with pidfd_of(receiver) as fd:
            assert fd is None


@clause("unix.scm_pidfd-cloexec", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
def test_the_senders_descriptor_is_close_on_exec(sockets):
    """The descriptor for a message's sender has the close-on-exec flag, though MSG_CMSG_CLOEXEC was not given."""
    left, right = sockets.pair()
    right.pass_pidfd()
    left.send(b"!")
    with pidfd_of(right) as fd:
        assert fd is not None
        assert not os.get_inheritable(fd)


@clause("unix.scm_pidfd-not-sent-einval", "net/unix/af_unix.c", "SO_PASSPIDFD", errno=EINVAL, since="6.5")
def test_a_sender_cannot_be_made_up(sockets):
    """A message of the type SCM_PIDFD cannot be sent: the kernel alone makes it."""
    left, _ = sockets.pair()
    with fails_with(EINVAL):
        left.socket.sendmsg([b"!"], [(SOL_SOCKET, SCM_PIDFD, array("i", [0]))])
