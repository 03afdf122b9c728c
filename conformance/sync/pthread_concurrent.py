"""Process-shared pthread objects under concurrency: mutexes, condition variables, read-write locks, barriers.

No signal ends their waits: a worker that still sleeps at the end of a history is killed, so the programs avoid that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EOWNERDEAD
from random import Random

from pytest_ipc import Ipc
from pytest_ipc.kernel import (
    PTHREAD_MUTEX_ERRORCHECK,
    Timespec,
    mutex_consistent,
    mutex_init,
    mutex_lock,
    mutex_timedlock,
    mutex_trylock,
    mutex_unlock,
)
from pytest_ipc.kernel.barrier import barrier_init, barrier_wait
from pytest_ipc.kernel.cond import cond_broadcast, cond_init, cond_signal, cond_timedwait, cond_wait
from pytest_ipc.kernel.rwlock import (
    rwlock_init,
    rwlock_rdlock,
    rwlock_timedrdlock,
    rwlock_timedwrlock,
    rwlock_tryrdlock,
    rwlock_trywrlock,
    rwlock_unlock,
    rwlock_wrlock,
)

from ..concurrency.history import Fate, History
from ..concurrency.memory import InMemory
from ..concurrency.plan import Act
from ..concurrency.workload import Budget, Here
from .pthread_specification import BarrierSpec, CondSpec, MutexSpec, RwlockSpec

SHORT = 0.0005  # seconds
MUTEX = 64  # offset of the mutex from its condition variable


def soon() -> Timespec:
    """Return the absolute time SHORT seconds ahead."""
    return Timespec.ahead(SHORT, time.CLOCK_REALTIME)


class Held:
    """The state of a worker's lock: whether the worker holds it, and has got EOWNERDEAD for it."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.held = self.inconsistent = False


class Mutex(InMemory):
    """A robust error-checking mutex; workers are killed while they hold it or wait for it."""

    budget = Budget(histories=150)
    sleeping = (("lock", "futex"), ("timedlock", "futex"))
    limited = ("timedlock",)
    interruptible = False
    kills = 0.5

    def make(self, ipc: Ipc) -> int:
        address = self.fresh()
        mutex_init(address, robust=True, kind=PTHREAD_MUTEX_ERRORCHECK)
        return address

    def specification(self, shared: int, history: History) -> MutexSpec:
        waits = ("lock", "timedlock")
        killed = (op.call.process for op in history.operations if op.fate is Fate.KILLED and op.call.name in waits)
        return MutexSpec(frozenset(killed))

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        names = random.choice((("lock",), ("trylock",), ("trylock",), ("lock", "timedlock", "trylock")))
        # No trylock of an unrecoverable mutex: see the clause pthread_mutex_trylock.enotrecoverable-each-time.
        repairing = 1.0 if "trylock" in names else random.choice((0.2, 1.0))
        holding = random.choice((0, 3))
        for worker in range(workers):
            acts: list[Act] = []
            while len(acts) < self.calls:
                name = random.choice(names)
                acts.append(Act(name, (worker, SHORT) if name == "timedlock" else (worker,)))
                repair = Act("consistent", (worker,))
                acts += [repair] * (random.randint(0, holding) or (random.random() < repairing))
                acts.append(Act("unlock", (worker,)))
            yield acts

    def enter(self, here: Here) -> Held:
        return Held(here.shared)

    def leave(self, mine: Held) -> None:
        with suppress(OSError):
            mutex_unlock(mine.address)

    def lock(self, mutex: Held, worker: int) -> None:
        with noticing_death(mutex):
            mutex_lock(mutex.address)

    def trylock(self, mutex: Held, worker: int) -> None:
        with noticing_death(mutex):
            mutex_trylock(mutex.address)

    def timedlock(self, mutex: Held, worker: int, seconds: float) -> None:
        with noticing_death(mutex):
            mutex_timedlock(mutex.address, soon())

    def unlock(self, mutex: Held, worker: int) -> None:
        mutex_unlock(mutex.address)
        mutex.inconsistent = False

    def consistent(self, mutex: Held, worker: int) -> bool:
        if not mutex.inconsistent:  # glibc would make a non-owner the owner
            return False
        mutex_consistent(mutex.address)
        mutex.inconsistent = False
        return True


@contextmanager
def noticing_death(mutex: Held) -> Iterator[None]:
    """Record in *mutex* that a lock call failed with EOWNERDEAD."""
    try:
        yield
    except OSError as error:
        mutex.inconsistent = mutex.inconsistent or error.errno == EOWNERDEAD
        raise


class Condition(InMemory):
    """A condition variable with its mutex. A broadcast at the end wakes the sleeping workers."""

    endings = ("wake",)
    sleeping = (("lock", "futex"), ("wait", "futex"), ("timedwait", "futex"))
    limited = ("timedwait",)
    phases = (("wait", ("unlocks", "locks_again")), ("timedwait", ("unlocks", "locks_in_time")))
    interruptible = False

    def make(self, ipc: Ipc) -> int:
        address = self.fresh()
        cond_init(address)
        mutex_init(address + MUTEX, kind=PTHREAD_MUTEX_ERRORCHECK)
        return address

    def specification(self, shared: int, history: History) -> CondSpec:
        return CondSpec()

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        waiting, limited = random.choice((0.3, 0.5)), random.choice((0.0, 0.5))
        waking = random.choice((("signal",), ("signal",), ("broadcast",), ("signal", "broadcast")))
        for worker in range(workers):
            acts: list[Act] = []
            while len(acts) < self.calls:
                if random.random() < waiting:
                    timed = random.random() < limited
                    wait = Act("timedwait", (worker, SHORT)) if timed else Act("wait", (worker,))
                    acts += [Act("lock", (worker,)), wait, Act("unlock", (worker,))]
                elif random.random() < 0.8:
                    acts += [Act("lock", (worker,)), Act(random.choice(waking)), Act("unlock", (worker,))]
                else:
                    acts.append(Act(random.choice(waking)))
            yield acts

    def waking(self, shared: int) -> Act:
        return Act("broadcast")

    def lock(self, address: int, worker: int) -> None:
        mutex_lock(address + MUTEX)

    def unlock(self, address: int, worker: int) -> None:
        mutex_unlock(address + MUTEX)

    def wait(self, address: int, worker: int) -> None:
        cond_wait(address, address + MUTEX)

    def timedwait(self, address: int, worker: int, seconds: float) -> None:
        cond_timedwait(address, address + MUTEX, soon())

    def signal(self, address: int) -> None:
        cond_signal(address)

    def broadcast(self, address: int) -> None:
        cond_broadcast(address)


class Rwlock(InMemory):
    """A read-write lock; every worker unlocks at the end."""

    sleeping = (("rdlock", "futex"), ("wrlock", "futex"), ("timedrdlock", "futex"), ("timedwrlock", "futex"))
    limited = (
        "timedrdlock",
        "timedwrlock",
    )
    interruptible = False

    def make(self, ipc: Ipc) -> int:
        address = self.fresh()
        rwlock_init(address)
        return address

    def specification(self, shared: int, history: History) -> RwlockSpec:
        return RwlockSpec()

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        names = random.choice(
            (
                ("tryrdlock", "trywrlock"),
                ("rdlock", "wrlock", "trywrlock"),
                ("rdlock", "wrlock"),
                ("timedrdlock", "timedwrlock", "rdlock", "wrlock"),
            )
        )
        for worker in range(workers):
            acts: list[Act] = []
            while len(acts) < self.calls:
                name = random.choice(names)
                arguments = (worker, SHORT) if name.startswith("timed") else (worker,)
                acts += [Act(name, arguments), Act("unlock", (worker,))]
            yield acts

    def enter(self, here: Here) -> Held:
        return Held(here.shared)

    def rdlock(self, lock: Held, worker: int) -> None:
        rwlock_rdlock(lock.address)
        lock.held = True

    def wrlock(self, lock: Held, worker: int) -> None:
        rwlock_wrlock(lock.address)
        lock.held = True

    def tryrdlock(self, lock: Held, worker: int) -> None:
        rwlock_tryrdlock(lock.address)
        lock.held = True

    def trywrlock(self, lock: Held, worker: int) -> None:
        rwlock_trywrlock(lock.address)
        lock.held = True

    def timedrdlock(self, lock: Held, worker: int, seconds: float) -> None:
        rwlock_timedrdlock(lock.address, soon())
        lock.held = True

    def timedwrlock(self, lock: Held, worker: int, seconds: float) -> None:
        rwlock_timedwrlock(lock.address, soon())
        lock.held = True

    def unlock(self, lock: Held, worker: int) -> None:
        if lock.held:
            lock.held = False
            rwlock_unlock(lock.address)


class Barrier(InMemory):
    """A barrier for three threads, which they pass again and again."""

    layouts = ((1, 1, 1), (2, 1), (3,))
    budget = Budget(histories=150)
    sleeping = (("wait", "futex"),)
    phases = (("wait", ("arrives", "leaves")),)
    interruptible = False

    def make(self, ipc: Ipc) -> int:
        address = self.fresh()
        barrier_init(address, 3)
        return address

    def specification(self, shared: int, history: History) -> BarrierSpec:
        return BarrierSpec(3)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        for worker in range(workers):
            yield [Act("wait", (worker,))] * self.calls

    def wait(self, barrier: int, worker: int) -> int:
        return barrier_wait(barrier)
