"""System V shared memory under concurrency: several processes create, attach and remove the segment of one key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random

from pytest_ipc import Ipc, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, shmat, shmctl_rmid, shmctl_stat, shmdt, shmget

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Budget, Here, Workload
from ..outcome import Gives
from .specification import SegmentsSpec

SIZE = 1


class Mine:
    """The state of a worker: the key, the id of the segment it found last, and its address if attached."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.id: int | None = None
        self.address: int | None = None


class Segments(Workload):
    """The segments of one key."""

    budget = Budget(histories=200)
    layouts = ((1, 1, 1), (1, 1, 1, 1))
    kills = 0.1
    phases = (("attach", ("pins", "maps", "attach_ends")),)
    identifiers = ("get",)

    def make(self, ipc: Ipc) -> int:
        return unused_key()

    def unmake(self, shared: int) -> None:
        with suppress(OSError):
            shmctl_rmid(shmget(shared, 0, 0))

    def specification(self, shared: int, history: History) -> SegmentsSpec:
        results = [op.result for op in history.operations if op.call.name == "get"]
        return SegmentsSpec(frozenset({-1, *(result.value for result in results if isinstance(result, Gives))}))

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        flags = random.choice(((IPC_CREAT | IPC_EXCL,), (IPC_CREAT | IPC_EXCL, 0), (IPC_CREAT, 0)))
        names = random.choice(
            (("remove",), ("attach", "detach", "count"), ("attach", "detach", "count", "remove", "count"))
        )
        for worker in range(workers):
            acts = [Act("get", (worker, random.choice(flags)))]
            while len(acts) < self.calls:
                if random.random() < 0.35:
                    acts.append(Act("get", (worker, random.choice(flags))))
                else:
                    acts.append(Act(random.choice(names), (worker,)))
            yield acts

    def closing(self, shared: int) -> tuple[Act, ...]:
        return (Act("clear"),)

    def enter(self, here: Here) -> Mine:
        return Mine(here.shared)

    def leave(self, mine: Mine) -> None:
        if mine.address is not None:
            shmdt(mine.address)

    def get(self, mine: Mine, worker: int, flags: int) -> int:
        mine.id = shmget(mine.key, SIZE, flags | 0o600)
        return mine.id

    def attach(self, mine: Mine, worker: int) -> bool:
        if mine.id is None or mine.address is not None:
            return False
        mine.address = shmat(mine.id)
        return True

    def detach(self, mine: Mine, worker: int) -> bool:
        if mine.address is None:
            return False
        shmdt(mine.address)
        mine.address = None
        return True

    def remove(self, mine: Mine, worker: int) -> bool:
        if mine.id is None:
            return False
        shmctl_rmid(mine.id)
        return True

    def count(self, mine: Mine, worker: int) -> int | None:
        return None if mine.id is None else shmctl_stat(mine.id).nattch

    def clear(self, key: int) -> bool:
        """Remove the segment with this key, in the parent process."""
        try:
            shmctl_rmid(shmget(key, 0, 0))
        except FileNotFoundError:
            return False
        return True
