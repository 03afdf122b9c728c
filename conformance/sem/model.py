"""Model of System V semaphores: two processes, arrays of operations, and adjustments at the end of a process
(semop(2))."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc.kernel import (
    GETPID,
    GETVAL,
    IPC_NOWAIT,
    SEM_UNDO,
    SEMVMX,
    semctl,
    semctl_getall,
    semctl_setall,
    semctl_setval,
    semop,
)

from ..model import Model
from ..specification import Call
from ..workers import PATIENCE, Worker
from .specification import SemaphoresSpec

SIZE = 3
OPERATIONS = st.lists(
    st.tuples(st.integers(0, SIZE), st.sampled_from((-2, -1, 0, 1, 2, SEMVMX)), st.booleans()), min_size=1, max_size=3
)


class Semaphores(Model):
    """One set, compared with its specification."""

    state: SemaphoresSpec
    undo = False

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        self.id = self.ipc.sysv_sem(SIZE).id
        self.state = SemaphoresSpec((0,) * SIZE)
        self.sempid = [0] * SIZE

    @rule(worker=st.integers(0, 1), operations=OPERATIONS)
    def operate(self, worker: int, operations: list[tuple[int, int, bool]]) -> None:
        """Perform several operations: all or none."""
        who = self.workers[worker]
        array = tuple((num, op, IPC_NOWAIT | (SEM_UNDO if undo and self.undo else 0)) for num, op, undo in operations)
        done = self.follows(Call(str(who), "semop", (array,)), who.call(semop, self.id, array))
        for num, _, _ in array if done else ():
            self.sempid[num] = who.child.pid

    @rule(num=st.integers(0, SIZE - 1), value=st.sampled_from((0, 1, 5, SEMVMX, SEMVMX + 1, -1)))
    def set_one(self, num: int, value: int) -> None:
        """Set the value of a semaphore; this clears its adjustments in all processes."""
        self.follows(Call("main", "setval", (num, value)), partial(semctl_setval, self.id, num, value))
        if 0 <= value <= SEMVMX:
            self.sempid[num] = os.getpid()

    @rule(values=st.lists(st.integers(0, 3), min_size=SIZE, max_size=SIZE))
    def set_all(self, values: list[int]) -> None:
        """Set the values of all semaphores."""
        self.follows(Call("main", "setall", (tuple(values),)), partial(semctl_setall, self.id, values))
        self.sempid = [os.getpid()] * SIZE

    @invariant()
    def values_match_model(self) -> None:
        """Compare GETALL and GETVAL."""
        self.sees("semctl(GETALL)", partial(semctl_getall, self.id), lambda: [*self.state.values])
        self.sees("each GETVAL", partial(self.each, GETVAL), lambda: [*self.state.values])

    def each(self, command: int) -> list[int]:
        """Return the result of a command for every semaphore."""
        return [semctl(self.id, num, command) for num in range(SIZE)]


class WithSempid(Semaphores):
    """The same with sempid, the last process to operate on each semaphore."""

    @invariant()
    def sempid_matches_model(self) -> None:
        """Compare GETPID."""
        self.sees("each GETPID", partial(self.each, GETPID), lambda: self.sempid)


class Undone(Semaphores):
    """The same with SEM_UNDO, and with processes that end and are replaced."""

    undo = True

    def __init__(self) -> None:
        super().__init__()
        self.workers = tuple(Worker(self.ipc.fork, name) for name in "AB")

    @rule(worker=st.integers(0, 1))
    def end(self, worker: int) -> None:
        """Let a process exit; a new one takes its place."""
        who, before = self.workers[worker], self.state

        def kernel() -> None:
            who.close()
            who.child.wait(timeout=PATIENCE)

        self.follows(Call(str(who), "ends"), kernel)
        for adjusted, num, _ in before.adjustments:
            if adjusted == str(who):
                self.sempid[num] = who.child.pid
        new = Worker(self.ipc.fork, f"{who}'")
        self.workers = (new, self.workers[1]) if worker == 0 else (self.workers[0], new)

    def teardown(self) -> None:
        """Let the processes exit."""
        for worker in self.workers:
            worker.close()
        super().teardown()
