"""System V message queues under concurrency: send, receive by every selector, block, remove."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from pytest_ipc import Ipc
from pytest_ipc.kernel import IPC_NOWAIT, MSG_EXCEPT, msgctl_rmid, msgctl_set, msgctl_stat, msgrcv, msgsnd

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Workload
from .specification import QueueSpec

QBYTES = 8
TEXT = 4


class Queue(Workload):
    """One small queue, which two messages fill."""

    endings = ("", "remove", "remove")
    sleeping = (("msgsnd", "msgsnd"), ("msgrcv", "msgrcv"))

    def make(self, ipc: Ipc) -> int:
        queue = ipc.sysv_msg()
        msgctl_set(queue.id, qbytes=QBYTES)
        return queue.id

    def specification(self, shared: int, history: History) -> QueueSpec:
        return QueueSpec(QBYTES)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        waiting, sending = random.choice((0.0, 0.1, 0.4)), random.uniform(0.35, 0.6)
        types = random.sample((1, 2, 3), random.randint(1, 3))
        selectors = random.sample((0, 1, 2, -1, -2, -3, -3), random.randint(1, 3))
        for worker in range(workers):
            acts = []
            for number in range(self.calls):
                wait = 0 if random.random() < waiting else IPC_NOWAIT
                if random.random() < sending:
                    text = f"{chr(97 + worker)}{number}".encode().ljust(random.choice((TEXT, TEXT, 2)), b".")
                    acts.append(Act("msgsnd", (random.choice(types), text, wait)))
                elif random.random() < 0.9:
                    type = random.choice(selectors)
                    flags = MSG_EXCEPT if type > 0 and random.random() < 0.3 else 0
                    acts.append(Act("msgrcv", (16, type, wait | flags)))
                else:
                    acts.append(Act("counts"))
            yield acts

    def closing(self, shared: int) -> tuple[Act, ...]:
        return (Act("counts"), *(Act("msgrcv", (16, 0, IPC_NOWAIT)),) * 3)

    def waking(self, shared: int) -> Act:
        return Act("rmid")

    def msgsnd(self, id: int, type: int, text: bytes, flags: int) -> None:
        msgsnd(id, type, text, flags)

    def msgrcv(self, id: int, size: int, type: int, flags: int) -> tuple[Any, ...]:
        return tuple(msgrcv(id, size, type, flags))

    def counts(self, id: int) -> tuple[int, int]:
        ds = msgctl_stat(id)
        return ds.qnum, ds.cbytes

    def rmid(self, id: int) -> None:
        msgctl_rmid(id)
