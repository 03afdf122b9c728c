"""unix(7): credentials of the other side: SO_PEERCRED and related options, SCM_CREDENTIALS."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from errno import EPERM, ESRCH
from signal import pause
from socket import (
    SCM_CREDENTIALS,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
)

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import Ucred, capabilities, peer_groups, peer_pidfd, pidfd_send_signal

from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER, act_as_another, become, capabilities_count_for

OPTIONS, MESSAGES = "Socket options", "Ancillary messages"
CONNECTED = pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_SEQPACKET], ids=["stream", "seqpacket"])
TYPES = pytest.mark.parametrize(
    "type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"]
)


@CONNECTED
@clause("unix.so_peercred", "unix(7)", OPTIONS)
def test_so_peercred_returns_peer_credentials(sockets, fork, type):
    """SO_PEERCRED returns the process ID, user ID and group ID of the connecting process, and to it those of the
    listening process.
    """
    listener = sockets.listen_unix(type=type)

    def life() -> tuple[Ucred, Ucred]:
        connection = sockets.connect(listener)
        seen = connection.peer_credentials()
        connection.receive()  # until the other side has read the credentials
        return seen, Ucred.own()

    client = fork(life)
    with listener.accept() as server:
        seen_by_server = server.peer_credentials()
        server.send(b".")
    seen_by_client, of_client = client.result()
    assert seen_by_server == of_client
    assert seen_by_client == Ucred(os.getpid(), os.geteuid(), os.getegid())


@clause("unix.so_peercred-frozen", "unix(7)", OPTIONS)
def test_so_peercred_is_set_at_connect(sockets, fork):
    """SO_PEERCRED returns the credentials at the time of connect(), also after the process has changed its user or
    has ended.
    """
    listener = sockets.listen_unix()
    before = os.geteuid(), os.getegid()

    def life() -> None:
        connection = sockets.connect(listener)
        become(STRANGER, GROUP)
        connection.receive()

    client = fork(life)
    server = listener.accept()
    assert server.peer_credentials() == Ucred(client.pid, *before)
    with suppress(BrokenPipeError):  # the client could not change its user, and reports that below
        server.send(b".")
    client.result()
    assert server.peer_credentials() == Ucred(client.pid, *before)


@TYPES
@clause("unix.so_peercred-pair", "unix(7)", OPTIONS)
def test_so_peercred_of_pair_is_creator(sockets, fork, type):
    """SO_PEERCRED on both sockets of a pair returns the credentials of the process that created it, also in a child."""
    left, right = sockets.pair(type)
    mine = Ucred(os.getpid(), os.geteuid(), os.getegid())
    assert [left.peer_credentials(), right.peer_credentials()] == [mine, mine]
    assert fork(right.peer_credentials).result() == mine


@clause("unix.so_peerpidfd", "net/unix/af_unix.c", "SO_PEERPIDFD", since="6.5")
def test_so_peerpidfd_refers_to_peer(sockets, fork):
    """SO_PEERPIDFD returns a pidfd of the connecting process, which can be signalled through it and makes it
    readable on exit.
    """
    listener = sockets.listen_unix()

    def life() -> None:
        sockets.connect(listener).receive(timeout=None)

    client = fork(life)
    server = listener.accept()
    with os.fdopen(peer_pidfd(server.fd), "rb") as pidfd:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(0) == []
        pidfd_send_signal(pidfd.fileno(), 0)
        server.send(b".")
        client.wait()
        assert any(events & select.POLLIN for _, events in poll.poll(0))


@clause("unix.so_peergroups", "net/unix/af_unix.c", "SO_PEERGROUPS", since="4.13")
def test_so_peergroups_returns_supplementary_groups(sockets, fork):
    """SO_PEERGROUPS returns the supplementary groups that the connecting process had."""
    listener = sockets.listen_unix()

    def life() -> list[int]:
        with suppress(PermissionError):  # then it keeps its groups
            os.setgroups([GROUP, OTHER_GROUP])
        groups = sorted(os.getgroups())
        sockets.connect(listener).receive()
        return groups

    client = fork(life)
    server = listener.accept()
    seen = sorted(peer_groups(server.fd))
    server.send(b".")
    assert seen == client.result()


@TYPES
@clause("unix.so_passcred-default-creds", "unix(7)", OPTIONS)
def test_so_passcred_adds_sender_credentials(sockets, fork, type):
    """With SO_PASSCRED every message carries its sender's process ID, user ID and group ID, even if the sender
    attached none.
    """
    left, right = sockets.pair(type)
    right.pass_credentials()

    def life() -> Ucred:
        left.send(b"hello")
        return Ucred.own()

    child = fork(life)
    message = right.receive_message()
    assert (message.data, message.credentials) == (b"hello", child.result())


@clause("unix.so_passcred-real-ids", "unix(7)", OPTIONS)
def test_default_credentials_are_real_ids(sockets, fork):
    """The credentials that the kernel attaches to a message contain the real, not the effective, user ID and group
    ID of the sender.
    """
    left, right = sockets.pair()
    right.pass_credentials()

    def life() -> None:
        act_as_another()
        left.send(b".")

    child = fork(life)
    child.result()
    assert right.receive_message().credentials == Ucred(child.pid, OWNER, GROUP)


@clause("unix.scm_credentials-need-passcred", "unix(7)", MESSAGES)
def test_credentials_need_so_passcred(sockets):
    """SCM_CREDENTIALS are received only on a socket with SO_PASSCRED."""
    left, right = sockets.pair()
    left.send(b"one", credentials=Ucred.own())
    assert right.receive_message().credentials is None
    right.pass_credentials()
    left.send(b"two", credentials=Ucred.own())
    assert right.receive_message().credentials == Ucred.own()
    right.pass_credentials(False)
    left.send(b"three", credentials=Ucred.own())
    assert right.receive_message().credentials is None


def sent_by_a_stranger(fork, left, make) -> None:
    """Send the credentials of make() from a process without capabilities; raise what sendmsg() raises there."""

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        left.socket.sendmsg([b"x"], [(SOL_SOCKET, SCM_CREDENTIALS, make().pack())])

    fork(life).result()


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda own: Ucred(os.getppid(), own.uid, own.gid), id="pid"),
        pytest.param(lambda own: Ucred(own.pid, own.uid + 1, own.gid), id="uid"),
        pytest.param(lambda own: Ucred(own.pid, own.uid, own.gid + 1), id="gid"),
    ],
)
@clause("unix.scm_credentials-forged-eperm", "unix(7)", "ERRORS", errno=EPERM)
def test_forged_credentials_fail(sockets, fork, forged):
    """sendmsg() with another process ID, user ID or group ID in SCM_CREDENTIALS fails with EPERM without
    capabilities, and sends nothing.
    """
    left, right = sockets.pair()
    right.pass_credentials()
    with fails_with(EPERM):
        sent_by_a_stranger(fork, left, lambda: forged(Ucred.own()))
    sent_by_a_stranger(fork, left, Ucred.own)
    assert right.receive_message(100).data == b"x"


@clause("unix.scm_credentials-esrch", "unix(7)", "ERRORS", errno=ESRCH)
def test_credentials_of_nonexistent_process_fail(sockets):
    """sendmsg() with a nonexistent process ID in SCM_CREDENTIALS fails with ESRCH even for a privileged process."""
    if not (capabilities() or 0) & 1 << 21 or not capabilities_count_for("pid"):
        untested(Need.CAP_SYS_ADMIN, "needs CAP_SYS_ADMIN")
    left, _right = sockets.pair()
    with fails_with(ESRCH):
        left.send(b"x", credentials=Ucred(0x7FFF_FFFF, os.getuid(), os.getgid()))


@clause("unix.scm_credentials-privileged", "unix(7)", MESSAGES)
def test_privileged_process_may_send_other_credentials(sockets, fork):
    """A process with CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID may send the process ID, user ID and group ID of
    another process.
    """
    needed = 1 << 21 | 1 << 7 | 1 << 6
    if (capabilities() or 0) & needed != needed:
        untested(Need.CAP_SYS_ADMIN, "needs CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID")
    fork(become, STRANGER, GROUP).result()  # fails here if the ids are not mapped
    left, right = sockets.pair()
    right.pass_credentials()
    other = Ucred(fork(pause).pid, STRANGER, GROUP)
    left.send(b"x", credentials=other)
    assert right.receive_message().credentials == other


@clause("unix.so_passpidfd", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
def test_so_passpidfd_adds_pidfd_of_sender(sockets, fork):
    """With SO_PASSPIDFD every message carries a pidfd of its sender."""
    left, right = sockets.pair()
    right.pass_pidfd()

    def life() -> None:
        left.send(b"x")
        pause()

    sender = fork(life)
    message = right.receive_message()
    assert message.pidfd is not None
    pidfd_send_signal(message.pidfd.fd, 9)
    assert sender.wait() == -9
