"""Counters and futex words under concurrency: eventfd(2), futex(2)."""

from __future__ import annotations

import select
from collections.abc import Iterator
from random import Random

from pytest_ipc import Ipc
from pytest_ipc.kernel import (
    EFD_NONBLOCK,
    EFD_SEMAPHORE,
    EVENTFD_MAX,
    Timespec,
    eventfd_read,
    eventfd_write,
    futex_cmp_requeue,
    futex_wait,
    futex_wake,
    poll,
)

from ..concurrency.history import History
from ..concurrency.memory import InMemory, store
from ..concurrency.plan import Act
from ..concurrency.workload import Here, Workload
from .specification import CounterSpec, FutexSpec

Shared = tuple[int, bool, bool]  # the descriptor, EFD_SEMAPHORE, EFD_NONBLOCK


class Counter(Workload):
    """One eventfd; its flags change from history to history."""

    sleeping = (("read", "read"), ("write", "write"))
    made = 0

    def make(self, ipc: Ipc) -> Shared:
        self.made += 1
        semaphore, nonblock = bool(self.made & 1), bool(self.made & 2)
        flags = (EFD_SEMAPHORE if semaphore else 0) | (EFD_NONBLOCK if nonblock else 0)
        return ipc.eventfd(flags=flags).fd, semaphore, nonblock

    def parameters(self, shared: Shared) -> dict[str, int]:
        return {"semaphore": int(shared[1]), "nonblock": int(shared[2])}

    def descriptors(self, shared: Shared) -> tuple[int, ...]:
        return (shared[0],)

    def specification(self, shared: Shared, history: History) -> CounterSpec:
        return CounterSpec(*shared[1:])

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        values = random.choice(((1,), (1, 2, 5), (1, EVENTFD_MAX), (EVENTFD_MAX - 1, 1)))
        reading, looking = random.uniform(0.3, 0.5), random.choice((0.0, 0.2))
        for _ in range(workers):
            acts = []
            for _ in range(self.calls):
                kind = random.random()
                if kind < reading:
                    acts.append(Act("read"))
                elif kind < reading + looking:
                    acts.append(Act("readable"))
                else:
                    acts.append(Act("write", (random.choice(values),)))
            yield acts

    def closing(self, shared: Shared) -> tuple[Act, ...]:
        return (Act("readable"),)

    def enter(self, here: Here) -> Shared:
        return (here.fds[0], *here.shared[1:])

    def read(self, mine: Shared) -> int:
        return eventfd_read(mine[0])

    def write(self, mine: Shared, value: int) -> None:
        eventfd_write(mine[0], value)

    def readable(self, mine: Shared) -> bool:
        return bool(poll({mine[0]: select.POLLIN}, 0))


SHORT = 0.0005  # seconds
WORD = 64  # bytes from the first word to the second


class Futex(InMemory):
    """Two words in shared memory."""

    # A stopped waiter waits again after SIGCONT, at the word it named, even if it was requeued: so no stop signals.
    provocations = ("signal", "yield")
    sleeping = (("wait", "futex"), ("timed", "futex"))
    limited = ("timed",)
    phases = (
        ("wait", ("begins", "wait_ends")),
        ("timed", ("begins", "timed_ends")),
        ("publish", ("publishes", "wakes")),
    )

    def make(self, ipc: Ipc) -> int:
        return self.fresh()

    def specification(self, shared: int, history: History) -> FutexSpec:
        return FutexSpec()

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        waiting, limited = random.choice((0.3, 0.5)), random.choice((0.0, 0.0, 0.3))
        requeueing = random.choice((0.0, 0.0, 0.4))
        changing = not requeueing and random.random() < 0.6
        for worker in range(workers):
            acts: list[Act] = []
            while len(acts) < self.calls:
                word = 1 if requeueing and random.random() < 0.3 else 0
                if random.random() < waiting:
                    timed = random.random() < limited
                    arguments = worker, len(acts), word, 0 if changing else random.choice((0, 0, 0, 1))
                    acts.append(Act("timed", (*arguments, SHORT)) if timed else Act("wait", arguments))
                elif changing:  # as wakers do: change the word, then wake its waiters
                    acts.append(Act("publish", (0, 1, 9)))
                    if random.random() < 0.4:
                        acts.append(Act("set", (0, 0)))
                elif random.random() < requeueing:
                    acts.append(
                        Act("requeue", (random.choice((0, 1)), random.choice((1, 9)), random.choice((0, 0, 0, 1))))
                    )
                else:
                    acts.append(Act("wake", (word, random.choice((1, 1, 9)))))
            yield acts

    def wait(self, address: int, worker: int, number: int, word: int, expected: int) -> None:
        futex_wait(address + word * WORD, expected)

    def timed(self, address: int, worker: int, number: int, word: int, expected: int, seconds: float) -> None:
        futex_wait(address + word * WORD, expected, Timespec.of(seconds))

    def wake(self, address: int, word: int, most: int) -> int:
        return futex_wake(address + word * WORD, most)

    def requeue(self, address: int, wake: int, move: int, expected: int) -> int:
        return futex_cmp_requeue(address, wake, move, address + WORD, expected)

    def set(self, address: int, word: int, value: int) -> None:
        store(address + word * WORD, value)

    def publish(self, address: int, word: int, value: int, most: int) -> int:
        store(address + word * WORD, value)
        return futex_wake(address + word * WORD, most)
