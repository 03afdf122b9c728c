"""msgget(2), msgop(2), sysvipc(7): a queue shared by related and unrelated processes."""

from __future__ import annotations

import pytest

from pytest_ipc import clause
from pytest_ipc.kernel import msgrcv, msgsnd

from ..conftest import TO_START, succeeded
from .conftest import contents

pytestmark = pytest.mark.usefixtures("message_limits")


SEND = """
import sys, pytest_ipc.kernel as ipc
queue = ipc.msgget(int(sys.argv[1]), 0)
for type, text in (7, b"first"), (3, b"second"):
    ipc.msgsnd(queue, type, text)
"""

ANSWER = """
import sys, pytest_ipc.kernel as ipc
queue = ipc.msgget(int(sys.argv[1]), 0)
for _ in range(3):
    message = ipc.msgrcv(queue, 100, 1)
    ipc.msgsnd(queue, 2, message.text[::-1])
"""


@clause("msg.persistence", "sysvipc(7)", "DESCRIPTION")
def test_messages_outlive_their_sender(sysv_msg, program):
    """Messages stay in the queue after their sender has terminated, and a program that knows the key receives them."""
    queue = sysv_msg()
    sender = program(SEND, queue.key)
    succeeded(sender)
    assert queue.stat().lspid == sender.pid
    assert contents(queue) == [(7, b"first"), (3, b"second")]


@clause("msg.unrelated-processes-meet-by-key", "msgget(2)", "DESCRIPTION")
def test_unrelated_processes_share_a_queue_by_key(sysv_msg, program):
    """Programs that share only the key exchange messages in one queue, each receiving its own type."""
    queue = sysv_msg()
    other = program(ANSWER, queue.key)
    for text in (b"one", b"two", b"three"):
        msgsnd(queue.id, 1, text)
    answers = [queue.receive(2, timeout=TO_START).text for _ in range(3)]
    succeeded(other)
    assert answers == [b"eno", b"owt", b"eerht"]


@clause("msg.atomic-delivery-one-reader", "msgop(2)", "msgrcv()")
def test_each_message_goes_to_one_receiver(sysv_msg, fork):
    """Each message goes whole to exactly one of several blocked receivers, and none is lost."""
    queue = sysv_msg()
    numbers = [str(number).encode() * (1 + number % 20) for number in range(200)]

    def receive() -> list[bytes]:
        taken = []
        while text := msgrcv(queue.id, 100).text:
            taken.append(text)
        return taken

    readers = [fork(receive) for _ in range(4)]
    for reader in readers:
        reader.wait_blocked("msgrcv")
    for text in numbers:
        msgsnd(queue.id, 1, text)
    for _ in readers:
        msgsnd(queue.id, 1, b"")
    taken = [text for reader in readers for text in reader.result()]
    assert sorted(taken) == sorted(numbers)
