"""Options of UNIX sockets without a manual page: SO_PASSRIGHTS of Linux 6.16, and more of SO_PASSPIDFD of 6.5."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, ENOPROTOOPT, EPERM
from socket import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET

import pytest

from pytest_ipc import Need, Socket, clause, fails_with, untested
from pytest_ipc.kernel import SCM_PIDFD, SO_PASSPIDFD, SO_PASSRIGHTS

TYPES = pytest.mark.parametrize(
    "type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"]
)


def pass_rights(receiver: Socket, on: bool) -> None:
    """Set SO_PASSRIGHTS; report untested on a kernel of a newer release that lacks it."""
    try:
        receiver.socket.setsockopt(SOL_SOCKET, SO_PASSRIGHTS, on)
    except OSError as error:
        if error.errno != ENOPROTOOPT:
            raise
        untested(Need.NEWER_KERNEL, "needs a kernel that knows SO_PASSRIGHTS")


@clause("unix.so_passrights-default", "net/unix/af_unix.c", "SO_PASSRIGHTS", since="6.16")
@TYPES
def test_so_passrights_is_set_by_default(sockets, type):
    """SO_PASSRIGHTS is a boolean option of the receiver that is set by default and can be cleared for one socket."""
    left, right = sockets.pair(type)
    pass_rights(right, True)
    assert [end.socket.getsockopt(SOL_SOCKET, SO_PASSRIGHTS) for end in sockets.pair(type)] == [1, 1]
    pass_rights(right, False)
    assert [end.socket.getsockopt(SOL_SOCKET, SO_PASSRIGHTS) for end in (left, right)] == [1, 0]


@clause("unix.so_passrights-eperm", "net/unix/af_unix.c", "SO_PASSRIGHTS", errno=EPERM, since="6.16")
@TYPES
def test_descriptors_to_socket_without_so_passrights_fail(sockets, type):
    """Sending descriptors to a socket with SO_PASSRIGHTS cleared fails with EPERM and sends nothing; a message
    without descriptors is sent.
    """
    left, right = sockets.pair(type)
    pass_rights(right, False)
    with fails_with(EPERM):
        left.send(b"refused", fds=[0])
    left.send(b"sent")
    assert right.receive() == b"sent"
    right.send(b"back", fds=[0])
    assert len(left.receive_message(fds=1).fds) == 1


@clause("unix.so_passrights-again", "net/unix/af_unix.c", "SO_PASSRIGHTS", since="6.16")
def test_so_passrights_can_be_set_again(sockets):
    """After SO_PASSRIGHTS is set again descriptors are received again."""
    left, right = sockets.pair()
    pass_rights(right, False)
    pass_rights(right, True)
    left.send(b"!", fds=[0])
    assert len(right.receive_message(fds=1).fds) == 1


@clause("unix.so_passrights-accepted", "net/unix/af_unix.c", "SO_PASSRIGHTS", errno=EPERM, since="6.16")
def test_accepted_socket_inherits_so_passrights(sockets):
    """An accepted socket has the SO_PASSRIGHTS setting of its listener from the first message on."""
    listener = sockets.listen_unix()
    pass_rights(listener, False)
    caller = sockets.connect(listener)
    with fails_with(EPERM):
        caller.send(b"!", fds=[0])
    assert listener.accept().socket.getsockopt(SOL_SOCKET, SO_PASSRIGHTS) == 0


@contextmanager
def pidfd_of(receiver: Socket) -> Iterator[int | None]:
    """Yield the sender's pidfd of the next message, or None."""
    found = [array("i", value)[0] for _, kind, value in receiver.socket.recvmsg(16, 256)[1] if kind == SCM_PIDFD]
    yield found[0] if found else None
    for fd in found:
        os.close(fd)


def pid_of(fd: int) -> int:
    """Return the process id of a pidfd from /proc/self/fdinfo."""
    try:
        with open(f"/proc/self/fdinfo/{fd}") as info:
            return next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
    except OSError as error:
        untested(Need.PROC_FILES, f"needs /proc/PID/fdinfo: {error.strerror}")


@clause("unix.scm_pidfd-types", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
@TYPES
def test_so_passpidfd_works_for_every_type(sockets, fork, type):
    """With SO_PASSPIDFD a message on a socket of any type carries a pidfd of its sender."""
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
def test_no_pidfd_without_so_passpidfd(sockets):
    """Without SO_PASSPIDFD, by default and after it was cleared, no message carries a pidfd of its sender."""
    left, right = sockets.pair()
    right.pass_pidfd()
    right.pass_pidfd(False)
    assert right.socket.getsockopt(SOL_SOCKET, SO_PASSPIDFD) == 0
    for receiver, sender in ((right, left), (left, right)):
        sender.send(b"!")
        with pidfd_of(receiver) as fd:
            assert fd is None


@clause("unix.scm_pidfd-cloexec", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
def test_pidfd_of_sender_is_close_on_exec(sockets):
    """The pidfd of a message's sender has the close-on-exec flag even without MSG_CMSG_CLOEXEC."""
    left, right = sockets.pair()
    right.pass_pidfd()
    left.send(b"!")
    with pidfd_of(right) as fd:
        assert fd is not None
        assert not os.get_inheritable(fd)


@clause("unix.scm_pidfd-not-sent-einval", "net/unix/af_unix.c", "SO_PASSPIDFD", errno=EINVAL, since="6.5")
def test_scm_pidfd_cannot_be_sent(sockets):
    """sendmsg() fails with EINVAL for a control message of type SCM_PIDFD, which only the kernel creates."""
    left, _ = sockets.pair()
    with fails_with(EINVAL):
        left.socket.sendmsg([b"!"], [(SOL_SOCKET, SCM_PIDFD, array("i", [0]))])
