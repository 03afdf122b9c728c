"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from contextlib import suppress
from socket import MSG_DONTWAIT, MSG_PEEK, SOCK_DGRAM

from pytest_ipc import ChildDied, clause, disputed
from pytest_ipc.kernel import recv, send


@clause("unix.concurrent-seqpacket", "unix(7)", "DESCRIPTION")
def test_concurrent_seqpacket_messages_are_received_once_in_order(linearizable, machines):
    """SOCK_SEQPACKET messages that several processes and threads send and receive concurrently arrive whole, once,
    and in the order sent.
    """
    linearizable(machines.Packets())


@clause("unix.concurrent-dgram", "unix(7)", "DESCRIPTION")
def test_concurrent_datagrams_are_received_once_in_order(linearizable, machines):
    """UNIX datagrams that several processes and threads send and receive concurrently arrive whole, once, and in the
    order sent.
    """
    linearizable(machines.Datagrams())


@clause("recv.peek-wakes-the-next", "recv(2)", "MSG_PEEK")
def test_peeked_message_goes_to_next_waiting_receiver(sockets, fork):
    """A message that a waiting recv() with MSG_PEEK leaves in the queue is received by the process that waits after
    it.
    """
    ours, theirs = sockets.pair(SOCK_DGRAM)
    peeker = fork(recv, theirs.fileno(), 10, MSG_PEEK)
    peeker.wait_blocked("recv")
    receiver = fork(recv, theirs.fileno(), 10)
    receiver.wait_blocked("recv")
    send(ours.fileno(), b"x")
    assert peeker.result() == b"x"
    with suppress(ChildDied):  # the receiver got the message and exited
        receiver.wait_blocked("recv")
        assert recv(theirs.fileno(), 10, MSG_PEEK | MSG_DONTWAIT) == b"x"
        disputed(
            manual="the receive calls wait if no messages are available",
            linux="leaves a receiver asleep although a message is available, after waking a process in MSG_PEEK for it",
        )
    assert receiver.result() == b"x"
