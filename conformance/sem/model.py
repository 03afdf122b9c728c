"""System V semaphores and a model of them: two processes, several operations at once, adjustments at the end of a process (semop(2))."""

from __future__ import annotations

import os
from collections import Counter
from errno import EAGAIN, EFBIG, ERANGE
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc import (
    GETPID,
    GETVAL,
    IPC_NOWAIT,
    SEM_UNDO,
    semctl,
    semctl_getall,
    semctl_setall,
    semctl_setval,
    semop,
)

from ..model import Model, fails
from ..peers import PATIENCE, Peer

SEMVMX = 32767
SIZE = 3
OPERATIONS = st.lists(
    st.tuples(st.integers(0, SIZE), st.sampled_from((-2, -1, 0, 1, 2, SEMVMX)), st.booleans()), min_size=1, max_size=3
)


class Semaphores(Model):
    """One set, as a list of values; what each process would give back at its end."""

    undo = False

    def __init__(self, *peers: Any) -> None:
        super().__init__(*peers)
        self.id = self.ipc.sysv_sem(SIZE).id
        self.values = [0] * SIZE
        self.changed_by = [0] * SIZE
        self.adjustments: dict[Any, Counter[int]] = {peer: Counter() for peer in self.peers}

    @rule(peer=st.integers(0, 1), operations=OPERATIONS)
    def operate(self, peer: int, operations: list[tuple[int, int, bool]]) -> None:
        """Several operations, all or none."""
        who = self.peers[peer]
        told = [(num, op, IPC_NOWAIT | (SEM_UNDO if undo and self.undo else 0)) for num, op, undo in operations]

        def model() -> None:
            values, adjustments = [*self.values], self.adjustments[who].copy()
            if any(num >= SIZE for num, _, _ in told):
                fails(EFBIG)
            for num, op, flags in told:
                if values[num] + op < 0 or (op == 0 and values[num]):
                    fails(EAGAIN)
                values[num] += op
                if values[num] > SEMVMX:
                    fails(ERANGE)
                if flags & SEM_UNDO:
                    adjustments[num] -= op
                    if not -SEMVMX - 1 <= adjustments[num] <= SEMVMX:
                        fails(ERANGE)
            self.values, self.adjustments[who] = values, adjustments
            for num, _, _ in told:
                self.changed_by[num] = who.actor.pid

        words = ", ".join(f"{num}: {op:+}{' SEM_UNDO' if flags & SEM_UNDO else ''}" for num, op, flags in told)
        self.same(f"{who}: semop({words})", who.call(semop, self.id, told), model)

    @rule(num=st.integers(0, SIZE - 1), value=st.sampled_from((0, 1, 5, SEMVMX, SEMVMX + 1, -1)))
    def set_one(self, num: int, value: int) -> None:
        """Give a semaphore a value; nobody will adjust it any more."""

        def model() -> None:
            if not 0 <= value <= SEMVMX:
                fails(ERANGE)
            self.values[num] = value
            self.changed_by[num] = os.getpid()
            for adjustments in self.adjustments.values():
                adjustments[num] = 0

        self.same(f"semctl({num}, SETVAL, {value})", partial(semctl_setval, self.id, num, value), model)

    @rule(values=st.lists(st.integers(0, 3), min_size=SIZE, max_size=SIZE))
    def set_all(self, values: list[int]) -> None:
        """The same for all of them."""

        def model() -> None:
            self.values = [*values]
            self.changed_by = [os.getpid()] * SIZE
            for adjustments in self.adjustments.values():
                adjustments.clear()

        self.same(f"semctl(SETALL, {values})", partial(semctl_setall, self.id, values), model)

    @invariant()
    def the_kernel_has_the_values(self) -> None:
        """GETALL and GETVAL."""
        self.sees("semctl(GETALL)", partial(semctl_getall, self.id), lambda: self.values)
        self.sees("each GETVAL", partial(self.each, GETVAL), lambda: self.values)

    def each(self, command: int) -> list[int]:
        """What a command says of every semaphore."""
        return [semctl(self.id, num, command) for num in range(SIZE)]


class Signed(Semaphores):
    """The same with the process that was the last to operate on each."""

    @invariant()
    def the_kernel_knows_who_it_was(self) -> None:
        """GETPID."""
        self.sees("each GETPID", partial(self.each, GETPID), lambda: self.changed_by)


class Undone(Semaphores):
    """The same with SEM_UNDO, and processes that end and make room for others."""

    undo = True

    def __init__(self) -> None:
        super().__init__()
        self.peers = tuple(Peer(self.ipc.fork, name) for name in "AB")
        self.adjustments = {peer: Counter() for peer in self.peers}

    @rule(peer=st.integers(0, 1))
    def end(self, peer: int) -> None:
        """Let a process end, by itself; another one takes its place."""
        who = self.peers[peer]

        def kernel() -> None:
            who.close()
            who.actor.wait(PATIENCE)

        def model() -> None:
            for num, adjustment in self.adjustments.pop(who).items():
                if adjustment:
                    self.values[num] = min(max(self.values[num] + adjustment, 0), SEMVMX)
                    self.changed_by[num] = who.actor.pid

        self.same(f"{who} ends", kernel, model)
        new = Peer(self.ipc.fork, f"{who}'")
        self.peers = (new, self.peers[1]) if peer == 0 else (self.peers[0], new)
        self.adjustments[new] = Counter()

    def teardown(self) -> None:
        """Let the processes end."""
        for peer in self.peers:
            peer.close()
        super().teardown()
