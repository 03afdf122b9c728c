"""Workloads on a file that the tests plant races in: what is found, and what is not, is known beforehand."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Self

from conformance.concurrency.history import History
from conformance.concurrency.plan import Act
from conformance.concurrency.workload import Budget, Here, Workload
from conformance.outcome import Outcome
from conformance.specification import Call, Specification
from pytest_ipc import Ipc
from pytest_ipc.kernel import Deadline, SystemCall, numbers_of, process_syscall, read


@dataclass(frozen=True)
class CounterSpec(Specification):
    """A number in a file."""

    value: int = 0

    @staticmethod
    def words(call: Call) -> str:
        return f"{call.name}()"

    def add(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(self.value + 1, type(self)(self.value + 1))

    def get(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(self.value)


class Counter(Workload):
    """Processes that add one to a number in a file, under a lock."""

    budget = Budget(histories=60, seconds=20, shrinking=2)
    calls = 3
    provocations = ()

    def make(self, ipc: Ipc) -> str:
        lock = ipc.file_lock()
        os.pwrite(lock.fd, b"0", 0)
        return str(lock.path)

    def specification(self, shared: str, history: History) -> Specification:
        return CounterSpec()

    def programs(self, random: Random, workers: int) -> list[list[Act]]:
        return [[Act(random.choice(("add", "add", "get"))) for _ in range(self.calls)] for _ in range(workers)]

    def closing(self, shared: str) -> tuple[Act, ...]:
        return (Act("get"),)

    def enter(self, here: Here) -> int:
        return os.open(here.shared, os.O_RDWR)

    def leave(self, mine: int) -> None:
        os.close(mine)

    def add(self, fd: int) -> int:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            return self.add_unlocked(fd)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    def add_unlocked(self, fd: int) -> int:
        value = int(os.pread(fd, 20, 0)) + 1
        os.sched_yield()
        os.pwrite(fd, str(value).encode(), 0)
        return value

    def get(self, fd: int | str) -> int:
        if isinstance(fd, int):
            return int(os.pread(fd, 20, 0))
        with open(fd, encoding="ascii") as file:
            return int(file.read())


class Unlocked(Counter):
    """The same without the lock: two may read the same number."""

    def add(self, fd: int) -> int:
        return self.add_unlocked(fd)


@dataclass(frozen=True)
class TokensSpec(Specification):
    """Bytes in a FIFO: `take` waits for one, `put` adds one."""

    count: int = 0

    def put(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)(self.count + 1))

    def until_a_sleeps(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives()

    def take(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        return self.gives(None, type(self)(self.count - 1)) if self.count else self.waits()


class Tokens(Workload):
    """A FIFO in which a reader can wait."""

    budget = Budget(histories=40, seconds=20, shrinking=2)
    sleeping = (("take", "read"),)
    layouts = ((1, 1, 1),)

    def make(self, ipc: Ipc) -> str:
        return str(ipc.fifo().path)

    def specification(self, shared: str, history: History) -> Specification:
        return TokensSpec()

    def programs(self, random: Random, workers: int) -> list[list[Act]]:
        return [[Act(random.choice(("put", "take"))) for _ in range(3)] for _ in range(workers)]

    def enter(self, here: Here) -> int:
        return os.open(here.shared, os.O_RDWR)

    def leave(self, mine: int) -> None:
        os.close(mine)

    def put(self, fd: int) -> None:
        os.write(fd, b"x")

    def take(self, fd: int) -> None:
        read(fd, 1)

    def until_a_sleeps(self, fd: int) -> None:
        """Wait until a sibling sleeps in read(2)."""
        siblings = Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children")

        def asleep() -> bool:
            calls = [process_syscall(int(pid)) for pid in siblings.read_text().split() if int(pid) != os.getpid()]
            return any(isinstance(call, SystemCall) and call.number in numbers_of("read") for call in calls)

        assert Deadline(10).until(asleep)


class Sleepy(Tokens):
    """The same with a `take` that sleeps outside the lock if the queue is empty: its wake-up is lost."""

    def take(self, fd: int) -> None:
        os.set_blocking(fd, False)
        try:
            read(fd, 1)
        except BlockingIOError:
            ours, theirs = os.pipe()
            try:
                read(ours, 1)
            finally:
                os.close(ours)
                os.close(theirs)


def acts(*programs: str) -> tuple[tuple[Any, ...], ...]:
    """Programs from names: acts("put take", "take")."""
    return tuple(tuple(Act(name) for name in program.split()) for program in programs)
