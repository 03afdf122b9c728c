"""File locks and leases under concurrency: record locks, open file description locks, flock(2) locks and leases."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN
from random import Random

from pytest_ipc.kernel import (
    F_GETLEASE,
    F_GETLK,
    F_OFD_GETLK,
    F_OFD_SETLK,
    F_OFD_SETLKW,
    F_RDLCK,
    F_SETLEASE,
    F_SETLK,
    F_SETLKW,
    F_UNLCK,
    F_WRLCK,
    RecordLock,
    fcntl,
    fcntl_getlk,
    fcntl_setlk,
    flock,
)

from ..concurrency.files import OnFile
from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Budget, Here
from .specification import FlockSpec, LeaseSpec, RangeSpec

DEATH = ("ends", ("ends", "all_ended"))  # the descriptors are closed one after another


class Opened:
    """The open file description of a worker; fd is None while it is closed."""

    def __init__(self, path: str, fd: int | None) -> None:
        self.path = path
        self.fd = fd
        self.leased = False

    def close(self) -> None:
        """Close the descriptor, if open."""
        if self.fd is not None:
            os.close(self.fd)
        self.fd, self.leased = None, False


class OnOpening(OnFile):
    """A workload in which each worker has its own open file description."""

    budget = Budget(histories=200)
    kills = 0.15
    layouts: tuple[tuple[int, ...], ...] = ((1, 1, 1), (1, 1, 1, 1))

    def enter(self, here: Here) -> Opened:
        return Opened(here.shared, os.open(here.shared, os.O_RDWR))

    def leave(self, mine: Opened) -> None:
        mine.close()

    def close(self, mine: Opened, worker: int) -> None:
        mine.close()
        mine.fd = os.open(mine.path, os.O_RDWR)


class RecordLocks(OnOpening):
    """Record locks; of two processes that wait for each other, one fails with EDEADLK."""

    commands = F_SETLK, F_SETLKW, F_GETLK
    crossing = 0.3  # the share of plans that lead to deadlocks
    sleeping = (("setlkw", "fcntl"),)
    phases: tuple[tuple[str, tuple[str, ...]], ...] = (("setlkw", ("begins", "acquires")), DEATH)

    def specification(self, shared: str, history: History) -> RangeSpec:
        return RangeSpec(True)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        if random.random() < self.crossing:  # two locks in either order: the classic deadlock
            for worker in range(workers):
                acts: list[Act] = []
                while len(acts) < self.calls:
                    first, second = random.sample((0, 1), 2)
                    acts += [Act("setlkw", (worker, F_WRLCK, place, 1)) for place in (first, second)]
                    acts.append(Act("setlk", (worker, F_UNLCK, 0, 2)))
                yield acts
            return
        blocking, unlocking = random.choice((0.0, 0.2, 0.6)), random.choice((0.3, 0.5))
        kinds = random.choice(((F_WRLCK,), (F_WRLCK, F_RDLCK)))
        ranges = random.choice((((0, 1),), ((0, 1), (1, 1)), ((0, 1), (1, 2), (0, 3)), ((0, 3), (1, 1))))
        for worker in range(workers):
            acts = []
            for _ in range(self.calls):
                place, chance = random.choice(ranges), random.random()
                if random.random() < unlocking:
                    kind, name = F_UNLCK, "setlk"
                else:
                    kind, name = random.choice(kinds), "setlkw" if random.random() < blocking else "setlk"
                if chance < 0.12:
                    acts.append(Act("getlk", (worker, F_WRLCK, *place)))
                elif chance < 0.16:
                    acts.append(Act("close", (worker,)))
                else:
                    acts.append(Act(name, (worker, kind, *place)))
            yield acts

    def setlk(self, mine: Opened, worker: int, kind: int, start: int, length: int) -> None:
        fcntl_setlk(self._fd(mine), self.commands[0], RecordLock(kind, start, length))

    def setlkw(self, mine: Opened, worker: int, kind: int, start: int, length: int) -> None:
        fcntl_setlk(self._fd(mine), self.commands[1], RecordLock(kind, start, length))

    def getlk(self, mine: Opened, worker: int, kind: int, start: int, length: int) -> bool:
        return fcntl_getlk(self._fd(mine), self.commands[2], RecordLock(kind, start, length)).type == F_UNLCK

    @staticmethod
    def _fd(mine: Opened) -> int:
        assert mine.fd is not None
        return mine.fd


class DescriptionLocks(RecordLocks):
    """The same locks owned by open file descriptions: threads are separate owners, and deadlocks are not detected."""

    commands = F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK
    crossing = 0.0
    layouts = ((1, 1, 1), (2, 1))
    phases = (DEATH,)

    def specification(self, shared: str, history: History) -> RangeSpec:
        return RangeSpec(False)


class WholeFile(OnOpening):
    """flock(2) locks."""

    layouts = ((1, 1, 1), (2, 1))
    sleeping = (("flock", "flock"),)
    phases = (("flock", ("releases", "acquires")), DEATH)

    def specification(self, shared: str, history: History) -> FlockSpec:
        return FlockSpec()

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        blocking = random.choice((0.0, 0.2, 0.6))
        operations = random.choice(
            ((LOCK_EX, LOCK_UN), (LOCK_EX, LOCK_SH, LOCK_UN), (LOCK_EX, LOCK_SH, LOCK_UN, LOCK_UN))
        )
        for worker in range(workers):
            acts = []
            for _ in range(self.calls):
                operation = random.choice(operations)
                if operation != LOCK_UN and random.random() >= blocking:
                    operation |= LOCK_NB
                acts.append(
                    Act("close", (worker,)) if random.random() < 0.05 else Act("flock", (worker, int(operation)))
                )
            yield acts

    def flock(self, mine: Opened, worker: int, operation: int) -> None:
        assert mine.fd is not None
        flock(mine.fd, operation)


class Leases(OnOpening):
    """Write leases, and other processes that open the file with O_NONBLOCK."""

    phases = (("open", ("tries", "opens")),)

    def specification(self, shared: str, history: History) -> LeaseSpec:
        return LeaseSpec()

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        names = random.choice(
            (
                ("open", "lease", "close"),
                ("open", "lease", "unlease", "getlease"),
                ("open", "lease", "unlease", "close", "close", "getlease"),
            )
        )
        for worker in range(workers):
            yield [Act("open", (worker,)), *(Act(random.choice(names), (worker,)) for _ in range(self.calls - 1))]

    def enter(self, here: Here) -> Opened:
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent to the holder when its lease is broken
        return Opened(here.shared, None)

    def open(self, mine: Opened, worker: int) -> bool:
        if mine.fd is not None:
            return False
        mine.fd = os.open(mine.path, os.O_RDWR | os.O_NONBLOCK)
        return True

    def close(self, mine: Opened, worker: int) -> bool:  # type: ignore[override] # it may be closed already
        was_open = mine.fd is not None
        mine.close()
        return was_open

    def lease(self, mine: Opened, worker: int) -> bool:
        if mine.fd is None or mine.leased:
            return False
        fcntl(mine.fd, F_SETLEASE, F_WRLCK)
        mine.leased = True
        return True

    def unlease(self, mine: Opened, worker: int) -> bool:
        if mine.fd is None or not mine.leased:
            return False
        fcntl(mine.fd, F_SETLEASE, F_UNLCK)
        mine.leased = False
        return True

    def getlease(self, mine: Opened, worker: int) -> int | None:
        return None if mine.fd is None else fcntl(mine.fd, F_GETLEASE)
