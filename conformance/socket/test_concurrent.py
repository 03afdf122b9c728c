"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from contextlib import suppress
from socket import MSG_DONTWAIT, MSG_PEEK, SOCK_DGRAM

from pytest_ipc import ChildDied, clause, disputed
from pytest_ipc.kernel import recv, send


@clause("unix.concurrent-seqpacket", "unix(7)", "DESCRIPTION")
def test_concurrent_packets(linearizable, machines):
    """Packets that several processes and threads send and receive at once come whole, each once, and in the order sent."""
    linearizable(machines.Packets())


@clause("unix.concurrent-dgram", "unix(7)", "DESCRIPTION")
def test_concurrent_datagrams(linearizable, machines):
    """Datagrams that several processes and threads send and receive at once come whole, each once, and in the order sent."""
    linearizable(machines.Datagrams())


@clause("recv.peek-wakes-the-next", "recv(2)", "MSG_PEEK")
def test_peek_leaves_the_message_to_a_waiting_receiver(sockets, fork):
    """A message that a waiting MSG_PEEK has left in the queue is received by the process that waits behind it."""
    ours, theirs = sockets.pair(SOCK_DGRAM)
    peeker = fork(recv, theirs.fileno(), 10, MSG_PEEK)
    peeker.wait_blocked("recv")
    receiver = fork(recv, theirs.fileno(), 10)
    receiver.wait_blocked("recv")
    send(ours.fileno(), b"x")
    assert peeker.result() == b"x"
    with suppress(ChildDied):  # it has received the message, and ended
        receiver.wait_blocked("recv")
        assert recv(theirs.fileno(), 10, MSG_PEEK | MSG_DONTWAIT) == b"x"
        disputed(
            manual="that the receive calls wait if no messages are available",
            linux="leaves a receiver asleep beside a message when a process that waited with MSG_PEEK was woken for it",
        )
    assert receiver.result() == b"x"
