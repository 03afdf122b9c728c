"""Fixtures of the message queue clauses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_ipc import MessageQueue, Need, untested
from pytest_ipc.kernel import IPC_NOWAIT, Msgbuf, limit, msgrcv, msgsnd


@pytest.fixture
def message_limits() -> None:
    """Require limits of at least 4096 bytes; with a smaller msgmnb, msgsnd() blocks instead of failing."""
    for name in ("msgmax", "msgmnb"):
        most = limit(f"kernel/{name}")
        if most is not None and most < 4096:
            untested(Need.MACHINE_LIMITS, f"kernel.{name} is {most}, and the clause needs up to 4096")


@pytest.fixture
def holding(sysv_msg: Callable[..., MessageQueue]) -> Callable[..., MessageQueue]:
    """Create a queue that holds messages: holding((1, b"text"), (2, b"more")), oldest first."""

    def make(*messages: tuple[int, bytes]) -> MessageQueue:
        queue = sysv_msg()
        for type, text in messages:
            msgsnd(queue.id, type, text, IPC_NOWAIT)
        return queue

    return make


@pytest.fixture
def full(sysv_msg: Callable[..., MessageQueue]) -> MessageQueue:
    """Create a queue of 100 bytes, filled by one message of type 1."""
    queue = sysv_msg()
    queue.set_status(qbytes=100)
    msgsnd(queue.id, 1, bytes(100), IPC_NOWAIT)
    return queue


def take(queue: MessageQueue, type: int = 0, flags: int = 0) -> Msgbuf:
    """Receive a message without blocking; it must exist."""
    return msgrcv(queue.id, 100, type, IPC_NOWAIT | flags)


def contents(queue: MessageQueue) -> list[tuple[int, bytes]]:
    """Receive all messages, oldest first."""
    return [(message.type, message.text) for message in (take(queue) for _ in range(queue.stat().qnum))]
