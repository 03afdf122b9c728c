"""Pipes under concurrency: atomic writes into one stream, in a pipe of one page that is often full."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import PAGESIZE
from random import Random

from pytest_ipc import Ipc
from pytest_ipc.kernel import PIPE_BUF, read, setpipe_size, write

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Here, Workload
from .specification import PipeSpec, Runs, runs


class SmallPipe(Workload):
    """One pipe shared by all workers; a reader of the empty pipe and a writer to the full pipe block."""

    sleeping = (("read", "read"), ("write", "write"))

    def make(self, ipc: Ipc) -> tuple[int, int]:
        pipe = ipc.pipe()
        setpipe_size(pipe.write_fd, PAGESIZE)
        return pipe.read_fd, pipe.write_fd

    def descriptors(self, shared: tuple[int, int]) -> tuple[int, ...]:
        return shared

    def specification(self, shared: tuple[int, int], history: History) -> PipeSpec:
        users = frozenset({("main", 0)})
        return PipeSpec(PAGESIZE, PAGESIZE, users, users)

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        counts = random.choice(((1, 2, 5), (100, 1000, 3000), (PIPE_BUF,), (1500, 2500)))
        sizes = random.choice(((1, 3), (200, 5000), (PAGESIZE,), (2000,)))
        writing = random.uniform(0.4, 0.6)
        for worker in range(workers):
            acts = []
            for number in range(self.calls):
                if random.random() < writing:
                    acts.append(Act("write", (worker, 97 + 16 * worker + number, random.choice(counts), True)))
                else:
                    acts.append(Act("read", (worker, random.choice(sizes), True)))
            yield acts

    def enter(self, here: Here) -> tuple[int, ...]:
        return here.fds

    def write(self, ends: tuple[int, int], worker: int, byte: int, count: int, wait: bool) -> int:
        return write(ends[1], bytes([byte]) * count)

    def read(self, ends: tuple[int, int], worker: int, count: int, wait: bool) -> Runs:
        return runs(read(ends[0], count))
