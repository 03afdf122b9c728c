"""System V semaphores under concurrency: arrays of operations, waits for an increase and for zero, SEM_UNDO."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pytest_ipc import Ipc
from pytest_ipc.kernel import (
    IPC_NOWAIT,
    SEM_UNDO,
    semctl_getall,
    semctl_rmid,
    semctl_setall,
    semctl_setval,
    semop,
    semtimedop,
)

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Budget, Workload
from .specification import Operations, SemaphoresSpec

Form = tuple[tuple[int, int], ...]
TAKE, GIVE, ZERO = ((0, -1),), ((0, 1),), ((0, 0),)
LOCK = ((0, 0), (0, 1))  # wait until the lock is free, and take it
THERE, BACK = ((0, -1), (1, 1)), ((1, -1), (0, 1))  # move a token from one semaphore to the other
BOTH, EACH = ((0, -1), (1, -1)), ((0, 1), (1, 1))
# Operations on one or two semaphores without flags, then the number of setall and of getall among 10 calls.
THEMES: tuple[tuple[tuple[Form, ...], int, int], ...] = (
    ((LOCK, LOCK, TAKE), 0, 1),
    ((THERE, BACK), 0, 2),
    ((TAKE, GIVE, ZERO, ((0, -2),), ((0, 2),)), 1, 1),
    ((BOTH, EACH, TAKE, ((1, -1),)), 0, 1),
    ((BOTH, ((1, -1),)), 4, 4),
    ((((0, 1), (1, -1), (0, -1)), GIVE, ((1, 1),)), 0, 1),
)
SHORT = 0.0003  # seconds


class Semaphores(Workload):
    """Two semaphores; the first has one token."""

    endings: tuple[str, ...] = ("", "remove", "remove")
    sleeping = (("semop", "semop"), ("semtimedop", "semtimedop"))
    limited = ("semtimedop",)
    themes = THEMES
    undo = 0.0  # the share of operations with SEM_UNDO

    def make(self, ipc: Ipc) -> int:
        return ipc.sysv_sem(values=[1, 0]).id

    def specification(self, shared: int, history: History) -> SemaphoresSpec:
        return SemaphoresSpec((1, 0))

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        waiting = random.choice((0.0, 0.1, 0.5))
        limited = random.choice((0.0, 0.0, 0.7))  # the share of waiting calls with a time limit
        forms, setting, getting = random.choice(self.themes)
        for _ in range(workers):
            acts = []
            for _ in range(self.calls):
                kind = random.random() * 10
                wait = 0 if random.random() < waiting else IPC_NOWAIT
                undo = SEM_UNDO if random.random() < self.undo else 0
                operations = tuple((num, op, wait | undo) for num, op in random.choice(forms))
                if kind < setting:
                    acts.append(
                        random.choice((Act("setval", (0, 1)), Act("setall", ((1, 1),)), Act("setall", ((0, 0),))))
                    )
                elif kind < setting + getting:
                    acts.append(Act("getall"))
                elif not wait and random.random() < limited:
                    acts.append(Act("semtimedop", (operations, SHORT)))
                else:
                    acts.append(Act("semop", (operations,)))
            yield acts

    def closing(self, shared: int) -> tuple[Act, ...]:
        return (Act("getall"),)

    def waking(self, shared: int) -> Act:
        return Act("rmid")

    def semop(self, id: int, operations: Operations) -> None:
        semop(id, operations)

    def semtimedop(self, id: int, operations: Operations, seconds: float) -> None:
        semtimedop(id, operations, seconds)

    def setval(self, id: int, num: int, value: int) -> None:
        semctl_setval(id, num, value)

    def setall(self, id: int, values: tuple[int, ...]) -> None:
        semctl_setall(id, values)

    def getall(self, id: int) -> tuple[int, ...]:
        return tuple(semctl_getall(id))

    def rmid(self, id: int) -> None:
        semctl_rmid(id)


class Undone(Semaphores):
    """The same with SEM_UNDO, and with a process that is killed during the history."""

    endings = ("", "kill")
    kills = 0.6
    themes = (((TAKE, GIVE), 0, 2), ((TAKE, GIVE, ZERO), 0, 1), ((LOCK, TAKE, BOTH, EACH), 0, 1))
    undo = 0.8
    budget = Budget(histories=150)  # every second history starts a process
