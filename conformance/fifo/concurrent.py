"""FIFOs under concurrency: each worker opens the FIFO itself, closes its ends at a random time and may be killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from mmap import PAGESIZE
from random import Random

from pytest_ipc import Ipc
from pytest_ipc.kernel import read, write

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Budget, Here, Workload
from ..pipe.specification import PipeSpec, Runs, runs

Ends = dict[str, int]


class Fifo(Workload):
    """One FIFO, far from full; every worker opens both ends twice, once blocking and once with O_NONBLOCK."""

    budget = Budget(histories=250)
    sleeping = (("read", "read"),)
    kills = 0.1
    phases = (("ends", ("ends", "all_ended")),)

    def make(self, ipc: Ipc) -> str:
        return str(ipc.fifo().path)

    def specification(self, shared: str, history: History) -> PipeSpec:
        users = frozenset((process, number) for number, (_, process) in enumerate(history.crew))
        return PipeSpec(16 * PAGESIZE, PAGESIZE, users, users)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        counts, sizes = random.choice(((1, 2, 5), (40, 300))), random.choice(((1, 3), (60, 500)))
        waiting = random.choice((0.0, 0.3, 0.8))
        apart = ("read",), ("write",)
        roles = random.choice((apart, apart, (*apart, ("read", "write")), (("read", "write"),)))
        leaving = random.choice((0.2, 0.5))
        for worker in range(workers):
            ends = [*roles[worker % len(roles)]]
            acts = [Act(f"close_{end}", (worker,)) for end in ("read", "write") if end not in ends]
            while ends and len(acts) < self.calls:
                end, wait = random.choice(ends), random.random() < waiting
                if (end == "write" and random.random() < leaving) or random.random() < 0.1:
                    ends.remove(end)
                    acts.append(Act(f"close_{end}", (worker,)))
                elif end == "write":
                    byte = 97 + 16 * worker + len(acts)
                    acts.append(Act("write", (worker, byte, random.choice(counts), wait)))
                else:
                    acts.append(Act("read", (worker, random.choice(sizes), wait)))
            yield acts

    def closing(self, shared: str) -> tuple[Act, ...]:
        return (Act("drain"),)

    def enter(self, here: Here) -> Ends:
        path = here.shared
        both = os.open(path, os.O_RDWR)  # open() with O_RDWR does not block
        ends = {
            "read": os.open(path, os.O_RDONLY),
            "read now": os.open(path, os.O_RDONLY | os.O_NONBLOCK),
            "write": os.open(path, os.O_WRONLY),
            "write now": os.open(path, os.O_WRONLY | os.O_NONBLOCK),
        }
        os.close(both)
        return ends

    def leave(self, mine: Ends) -> None:
        for fd in mine.values():
            os.close(fd)

    def write(self, ends: Ends, worker: int, byte: int, count: int, wait: bool) -> int:
        return write(ends["write" if wait else "write now"], bytes([byte]) * count)

    def read(self, ends: Ends, worker: int, count: int, wait: bool) -> Runs:
        return runs(read(ends["read" if wait else "read now"], count))

    def close_read(self, ends: Ends, worker: int) -> None:
        self._close(ends, "read")

    def close_write(self, ends: Ends, worker: int) -> None:
        self._close(ends, "write")

    @staticmethod
    def _close(ends: Ends, name: str) -> None:
        for each in (name, f"{name} now"):
            if each in ends:
                os.close(ends.pop(each))

    def drain(self, path: str) -> Runs:
        """Read the remaining bytes, in the controlling process."""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        data = b""
        with suppress(BlockingIOError):
            while part := os.read(fd, 65536):
                data += part
        os.close(fd)
        return runs(data)
