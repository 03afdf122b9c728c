"""unix(7): whom the kernel says the other side to be: SO_PEERCRED and its kin, SCM_CREDENTIALS."""

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

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import Ucred, capabilities, peer_groups, peer_pidfd, pidfd_send_signal

from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER, act_as_another, become, capabilities_count_for

OPTIONS, MESSAGES = "Socket options", "Ancillary messages"
CONNECTED = pytest.mark.parametrize("type", [SOCK_STREAM, SOCK_SEQPACKET], ids=["stream", "seqpacket"])
TYPES = pytest.mark.parametrize(
    "type", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET], ids=["stream", "datagram", "seqpacket"]
)


@CONNECTED
@clause("unix.so_peercred", "unix(7)", OPTIONS)
def test_both_sides_know_each_other(sockets, fork, type):
    """SO_PEERCRED gives the process, user and group of whoever connected, and to him those of whoever listens."""
    listener = sockets.listen_unix(type=type)

    def life() -> tuple[Ucred, Ucred]:
        connection = sockets.connect(listener)
        seen = connection.peer_credentials()
        connection.receive()  # until the other side has looked
        return seen, Ucred.own()

    client = fork(life)
    with listener.accept() as server:
        seen_by_server = server.peer_credentials()
        server.send(b".")
    seen_by_client, of_client = client.result()
    assert seen_by_server == of_client
    assert seen_by_client == Ucred(os.getpid(), os.geteuid(), os.getegid())


@clause("unix.so_peercred-frozen", "unix(7)", OPTIONS)
def test_what_is_known_is_from_the_time_of_the_connection(sockets, fork):
    """SO_PEERCRED tells of the process that connected as it was then, also when it has become another user or has ended."""
    listener = sockets.listen_unix()
    before = os.geteuid(), os.getegid()

    def life() -> None:
        connection = sockets.connect(listener)
        become(STRANGER, GROUP)
        connection.receive()

    client = fork(life)
    server = listener.accept()
    assert server.peer_credentials() == Ucred(client.pid, *before)
    with suppress(BrokenPipeError):  # it could not become anybody else, and says so below
        server.send(b".")
    client.result()
    assert server.peer_credentials() == Ucred(client.pid, *before)


@TYPES
@clause("unix.so_peercred-pair", "unix(7)", OPTIONS)
def test_a_pair_knows_its_maker(sockets, fork, type):
    """Both sockets of a pair tell of the process that made them, also to a child that has inherited them."""
    left, right = sockets.pair(type)
    mine = Ucred(os.getpid(), os.geteuid(), os.getegid())
    assert [left.peer_credentials(), right.peer_credentials()] == [mine, mine]
    assert fork(right.peer_credentials).result() == mine


@clause("unix.so_peerpidfd", "net/unix/af_unix.c", "SO_PEERPIDFD", since="6.5")
def test_the_peer_is_had_as_a_pidfd(sockets, fork):
    """SO_PEERPIDFD gives a descriptor for the process that connected: it is ready when that has ended, and signals it before."""
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
def test_the_peers_groups_are_known(sockets, fork):
    """SO_PEERGROUPS gives the supplementary groups that the process had which connected."""
    listener = sockets.listen_unix()

    def life() -> list[int]:
        with suppress(PermissionError):  # its own, then
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
def test_a_message_comes_with_its_senders_credentials(sockets, fork, type):
    """With SO_PASSCRED every message comes with its sender's process, user and group, though the sender gave none."""
    left, right = sockets.pair(type)
    right.pass_credentials()

    def life() -> Ucred:
        left.send(b"hello")
        return Ucred.own()

    child = fork(life)
    message = right.receive_message()
    assert (message.data, message.credentials) == (b"hello", child.result())


@clause("unix.so_passcred-real-ids", "unix(7)", OPTIONS)
def test_the_credentials_are_the_real_ids(sockets, fork):
    """The user and group that come where the sender gave none are its real ones, not those in effect."""
    left, right = sockets.pair()
    right.pass_credentials()

    def life() -> None:
        act_as_another()
        left.send(b".")

    child = fork(life)
    child.result()
    assert right.receive_message().credentials == Ucred(child.pid, OWNER, GROUP)


@clause("unix.scm_credentials-need-passcred", "unix(7)", MESSAGES)
def test_credentials_come_only_when_asked_for(sockets):
    """Credentials that were sent are received only on a socket with SO_PASSCRED."""
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
    """Send what make() gives, from a process without capabilities; what sendmsg raises is raised here."""

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
def test_nobody_passes_for_another(sockets, fork, forged):
    """A process without capabilities cannot send another's process id, user or group, and nothing is sent when it tries."""
    left, right = sockets.pair()
    right.pass_credentials()
    with fails_with(EPERM):
        sent_by_a_stranger(fork, left, lambda: forged(Ucred.own()))
    sent_by_a_stranger(fork, left, Ucred.own)
    assert right.receive_message(100).data == b"x"


@clause("unix.scm_credentials-esrch", "unix(7)", "ERRORS", errno=ESRCH)
def test_credentials_name_a_process_that_exists(sockets):
    """Even a privileged process cannot send the id of a process that there is not."""
    if not (capabilities() or 0) & 1 << 21 or not capabilities_count_for("pid"):
        untested("needs CAP_SYS_ADMIN")
    left, _right = sockets.pair()
    with fails_with(ESRCH):
        left.send(b"x", credentials=Ucred(0x7FFF_FFFF, os.getuid(), os.getgid()))


@clause("unix.scm_credentials-privileged", "unix(7)", MESSAGES)
def test_a_privileged_process_may_name_another(sockets, fork):
    """A process with CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID may send the ids of another process, user and group."""
    needed = 1 << 21 | 1 << 7 | 1 << 6
    if (capabilities() or 0) & needed != needed:
        untested("needs CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID")
    fork(become, STRANGER, GROUP).result()  # or the ids are not mapped here
    left, right = sockets.pair()
    right.pass_credentials()
    other = Ucred(fork(pause).pid, STRANGER, GROUP)
    left.send(b"x", credentials=other)
    assert right.receive_message().credentials == other


@clause("unix.so_passpidfd", "net/unix/af_unix.c", "SO_PASSPIDFD", since="6.5")
def test_a_message_comes_with_a_pidfd_of_its_sender(sockets, fork):
    """With SO_PASSPIDFD every message comes with a descriptor for the process that sent it."""
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
