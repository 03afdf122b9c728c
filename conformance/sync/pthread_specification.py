"""Sequential specification of the process-shared pthread objects: owners, waiters, and who is woken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from errno import EBUSY, EDEADLK, ENOTRECOVERABLE, EOWNERDEAD, EPERM, ETIMEDOUT
from itertools import combinations
from types import MappingProxyType
from typing import ClassVar, Self

from pytest_ipc.kernel.barrier import PTHREAD_BARRIER_SERIAL_THREAD

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification

__all__ = ["BarrierSpec", "CondSpec", "MutexSpec", "RwlockSpec"]

Thread = tuple[str, int]  # process, and number of the worker in it


@dataclass(frozen=True)
class MutexSpec(Specification):
    """A robust error-checking mutex: its owner, and its state after the death of an owner.

    `waiting` are the processes that are killed while they wait. glibc wakes one waiter at an unlock, which marks the
    mutex as waited for when it runs again. If it is killed before that, and another thread locks the mutex meanwhile,
    it is unknown of the other waiters: they may sleep though the mutex is free.
    """

    waiting: frozenset[str] = frozenset()
    forgotten: bool = False  # whether waiters may be
    owner: Thread | None = None
    state: str = ""  # "": consistent; "dead": owner died; "inconsistent": locked after that; "lost": not recoverable

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"timedlock": ETIMEDOUT})
    changing: ClassVar[frozenset[int]] = frozenset({EOWNERDEAD})

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        limit = f"{call.arguments[1] * 1000:g} ms" if call.name == "timedlock" else ""
        return f"pthread_mutex_{call.name}({limit})"

    def lock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_lock(3): wait for the mutex; after its owner's death EOWNERDEAD, with the mutex locked."""
        me = process, worker
        if self.state == "lost":
            return self.fails(ENOTRECOVERABLE)
        if self.owner == me:
            return self.fails(EDEADLK)
        if self.owner is not None:
            return self.waits()
        if self.state == "dead":
            return ((Fails(EOWNERDEAD), replace(self, owner=me, state="inconsistent")),)
        return self.gives(None, replace(self, owner=me))

    def trylock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_trylock(3): EBUSY if lock would wait; in glibc EDEADLK for the caller's own mutex."""
        if self.owner == (process, worker):
            return ((Fails(EBUSY), self), (Fails(EDEADLK), self))
        if self.owner is not None and self.state != "lost":
            return self.fails(EBUSY)
        return self.lock(process, worker)

    def timedlock(self, process: str, worker: int, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_timedlock(3): ETIMEDOUT if lock would wait longer."""
        return [*self.lock(process, worker)] or self.fails(ETIMEDOUT)

    def unlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_unlock(3): EPERM if not the owner; without pthread_mutex_consistent(3) not recoverable."""
        if self.owner != (process, worker):
            return self.fails(EPERM)
        return self.gives(None, replace(self, owner=None, state="lost" if self.state == "inconsistent" else self.state))

    def consistent(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_consistent(3), called only after EOWNERDEAD; return whether it was called."""
        if self.owner != (process, worker) or self.state != "inconsistent":
            return self.gives(False)
        return self.gives(True, replace(self, state=""))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Mark the mutex of the process: the next lock fails with EOWNERDEAD."""
        after = replace(self, forgotten=True) if process in self.waiting else self
        if self.owner is not None and self.owner[0] == process:
            after = replace(after, owner=None, state="dead")
        return self.gives(None, after)

    def sleeps(self, call: Call) -> bool:
        """Return whether the call waits, or may have been forgotten."""
        return (self.forgotten and call.name in ("lock", "timedlock")) or super().sleeps(call)


@dataclass(frozen=True)
class CondSpec(Specification):
    """A condition variable and its mutex. A wait has two points: it unlocks the mutex and waits; it locks it again."""

    owner: Thread | None = None
    waiting: frozenset[Thread] = frozenset()
    woken: frozenset[Thread] = frozenset()

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case (("lock" | "unlock"), _):
                return f"pthread_mutex_{call.name}()"
            case "timedwait", (_, seconds):
                return f"pthread_cond_timedwait({seconds * 1000:g} ms)"
        return f"pthread_cond_{call.name}()"

    def lock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_lock(3)."""
        return self.waits() if self.owner is not None else self.gives(None, replace(self, owner=(process, worker)))

    def unlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_mutex_unlock(3)."""
        return self.gives(None, replace(self, owner=None)) if self.owner == (process, worker) else self.fails(EPERM)

    def signal(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """pthread_cond_signal(3): wake at least one waiter."""
        if not self.waiting:
            return self.gives()
        sets = [
            frozenset(some)
            for size in range(1, len(self.waiting) + 1)
            for some in combinations(sorted(self.waiting), size)
        ]
        return [(Gives(), replace(self, waiting=self.waiting - some, woken=self.woken | some)) for some in sets]

    def broadcast(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """pthread_cond_broadcast(3): wake all waiters."""
        return self.gives(None, replace(self, waiting=frozenset(), woken=self.woken | self.waiting))

    def unlocks(self, process: str, worker: int, *_: float) -> Iterable[tuple[Outcome, Self]]:
        """pthread_cond_wait(3): unlock the mutex and begin to wait, in one step. Without the mutex it does not wait."""
        me = process, worker
        if self.owner != me:
            return self.gives()
        return self.gives(None, replace(self, owner=None, waiting=self.waiting | {me}))

    def locks_again(self, process: str, worker: int, *_: float) -> Iterable[tuple[Outcome, Self]]:
        """pthread_cond_wait(3): lock the mutex again, when woken or, as POSIX allows, spuriously."""
        me = process, worker
        if me not in self.waiting | self.woken:
            return self.fails(EPERM)
        if self.owner is not None:
            return self.waits()
        return self.gives(None, self._back(me))

    def locks_in_time(self, process: str, worker: int, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """pthread_cond_timedwait(3): ETIMEDOUT, with the mutex locked, if not woken in time."""
        me = process, worker
        found = [*self.locks_again(process, worker)]
        if me in self.waiting | self.woken and self.owner is None:
            found.append((Fails(ETIMEDOUT), self._back(me)))
        return found

    def sleeps(self, call: Call) -> bool:
        """Return whether the call sleeps: a waiter that was not woken does, though it might wake spuriously."""
        me = call.process, *call.arguments[:1]
        if call.name in ("locks_again", "locks_in_time"):
            return self.owner is not None or me in self.waiting
        return super().sleeps(call)

    def _back(self, me: Thread) -> Self:
        return replace(self, owner=me, waiting=self.waiting - {me}, woken=self.woken - {me})


@dataclass(frozen=True)
class RwlockSpec(Specification):
    """A read-write lock and its holders. Whether readers pass a waiting writer is implementation-defined."""

    readers: frozenset[Thread] = frozenset()
    writer: Thread | None = None

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"timedrdlock": ETIMEDOUT, "timedwrlock": ETIMEDOUT})

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        limit = f"{call.arguments[1] * 1000:g} ms" if call.name.startswith("timed") else ""
        return f"pthread_rwlock_{call.name}({limit})"

    def rdlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_rdlock(3): lock, shared with other readers."""
        if self.writer is not None:
            return self.waits()
        return self.gives(None, replace(self, readers=self.readers | {(process, worker)}))

    def wrlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_wrlock(3): lock exclusively."""
        if self.writer is not None or self.readers:
            return self.waits()
        return self.gives(None, replace(self, writer=(process, worker)))

    def tryrdlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_tryrdlock(3): EBUSY if a writer holds the lock or waits for readers."""
        found = [*self.rdlock(process, worker)]
        return [*found, (Fails(EBUSY), self)] if self.writer is not None or self.readers else found

    def trywrlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_trywrlock(3): EBUSY if the lock is held."""
        return [*self.wrlock(process, worker)] or self.fails(EBUSY)

    def timedrdlock(self, process: str, worker: int, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_timedrdlock(3): ETIMEDOUT, also behind a waiting writer."""
        found = [*self.rdlock(process, worker)]
        return [*found, (Fails(ETIMEDOUT), self)] if self.writer is not None or self.readers else found

    def timedwrlock(self, process: str, worker: int, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_timedwrlock(3): ETIMEDOUT."""
        return [*self.wrlock(process, worker)] or self.fails(ETIMEDOUT)

    def unlock(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_rwlock_unlock(3) by a holder."""
        me = process, worker
        return self.gives(
            None, replace(self, readers=self.readers - {me}, writer=None if self.writer == me else self.writer)
        )

    def sleeps(self, call: Call) -> bool:
        """Return whether the call sleeps; a reader may also wait behind a writer that waits for other readers."""
        if call.name in ("rdlock", "timedrdlock"):
            return self.writer is not None or bool(self.readers)
        return super().sleeps(call)


@dataclass(frozen=True)
class BarrierSpec(Specification):
    """A barrier for *count* threads. A wait has two points: it arrives, and it leaves when all have arrived."""

    count: int
    arrived: frozenset[Thread] = frozenset()
    leaving: tuple[
        tuple[frozenset[Thread], bool], ...
    ] = ()  # by round: the threads yet to leave, and whether one was the serial thread

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        return f"pthread_barrier_{call.name}()"

    def arrives(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_barrier_wait(3): when the last thread arrives, all may leave."""
        arrived = self.arrived | {(process, worker)}
        if len(arrived) < self.count:
            return self.gives(None, replace(self, arrived=arrived))
        return self.gives(None, replace(self, arrived=frozenset(), leaving=(*self.leaving, (arrived, False))))

    def leaves(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """pthread_barrier_wait(3): PTHREAD_BARRIER_SERIAL_THREAD in one thread of each round, 0 in the others."""
        me = process, worker
        for place, (there, serial) in enumerate(self.leaving):
            if me in there:
                rest = there - {me}
                if not serial:
                    yield Gives(PTHREAD_BARRIER_SERIAL_THREAD), self._round(place, rest, True)
                if serial or rest:
                    yield Gives(0), self._round(place, rest, serial)

    def _round(self, place: int, there: frozenset[Thread], serial: bool) -> Self:
        kept = ((there, serial),) if there else ()
        return replace(self, leaving=self.leaving[:place] + kept + self.leaving[place + 1 :])
