"""Series: how the cost of an operation grows with all that a machine or a run may have much of."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from pathlib import Path

from pytest_ipc import scope

from . import compare, foreign, objects, processes
from .clock import Sample, Stopwatch, Way, repeated
from .custody import CHILDREN, after_kill
from .leaks import checked
from .pytest_run import entry_point, project, run_once
from .row import Unit
from .series import Series
from .unused import BLOCK

__all__ = ["SERIES"]

MS = Unit("ms", 1e3)
MB = Unit("MB", 1e-6, of="byte")
PAGE = 4096
XDIST_TESTS = 60

USING = """
import os
import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_objects(ipc, number):
    ipc.sysv_shm().attach().buf[0] = 1
    assert ipc.fork(os.getpid).result()
"""
BY_HAND = """
import os
import pytest
import sysv_ipc

@pytest.mark.parametrize("number", range({tests}))
def test_objects(number):
    memory = sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=4096)
    memory.write(b"1")
    memory.detach()
    memory.remove()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""


@contextmanager
def objects_per_run(number: int) -> Iterator[Mapping[str, Way]]:
    """A run that creates and removes so many segments, one after the other, in a child with the state of a new run."""

    def ours(_loops: int) -> Sample:
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            status = 1
            try:
                begin = Stopwatch.start()
                with scope() as ipc:
                    for _ in repeat(None, number):
                        ipc.sysv_shm(PAGE).close()
                taken = begin.stop(number)
                os.write(writer, f"{taken.wall} {taken.cpu}".encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        with open(reader) as answer:
            wall, cpu = map(float, answer.read().split())
        os.waitpid(pid, 0)
        return Sample(wall, cpu)

    yield {"ours": ours}


@contextmanager
def live_segments(number: int) -> Iterator[Mapping[str, Way]]:
    """A segment created and removed by a scope that owns so many."""
    with scope() as ipc:
        for _ in range(number):
            ipc.sysv_shm(PAGE)
        yield {"ours": repeated(lambda: ipc.sysv_shm(PAGE).close()), "peer": repeated(objects.segment_of_peer)}


@contextmanager
def live_fifos(number: int) -> Iterator[Mapping[str, Way]]:
    """A FIFO created and removed by a scope that owns so many."""
    with processes.allowing(3 * number), scope() as ipc:
        for _ in range(number):
            ipc.fifo()
        yield {"ours": repeated(lambda: ipc.fifo().close())}


@contextmanager
def scope_of(number: int) -> Iterator[Mapping[str, Way]]:
    """Scopes that create so many segments, and remove them at their end."""

    def ours(loops: int) -> Sample:
        begin = Stopwatch.start()
        for _ in range(loops):
            with scope() as ipc:
                for _ in range(number):
                    ipc.sysv_shm(PAGE)
        return begin.stop(loops * number)

    yield {"ours": ours}


@contextmanager
def children_started(number: int) -> Iterator[Mapping[str, Way]]:
    """The start of each of so many children at once."""

    def ours(_loops: int) -> Sample:
        with scope() as ipc:
            begin = Stopwatch.start()
            for _ in range(number):
                ipc.fork(signal.pause)
            return begin.stop(number)

    def peer(_loops: int) -> Sample:
        begin = Stopwatch.start()
        pids = start_by_hand(number)
        taken = begin.stop(number)
        end_by_hand(pids)
        return taken

    yield {"ours": ours, "peer": peer}


@contextmanager
def children_ended(number: int) -> Iterator[Mapping[str, Way]]:
    """The end of each of so many children, with their scope."""

    def ours(_loops: int) -> Sample:
        with scope() as ipc:
            for child in [ipc.fork(signal.pause) for _ in range(number)]:
                child.wait_blocked("pause")
            begin = Stopwatch.start()
        return begin.stop(number)

    def peer(_loops: int) -> Sample:
        pids = start_by_hand(number)
        begin = Stopwatch.start()
        end_by_hand(pids)
        return begin.stop(number)

    yield {"ours": ours, "peer": peer}


def start_by_hand(number: int) -> list[int]:
    """Fork so many children, and nothing else."""
    pids = []
    for _ in range(number):
        if (pid := os.fork()) == 0:
            signal.pause()
            os._exit(0)
        pids.append(pid)
    return pids


def end_by_hand(pids: list[int]) -> None:
    """Kill and reap them."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


@contextmanager
def xdist(workers: int) -> Iterator[Mapping[str, Way]]:
    """A run of tests with a segment and a child in so many pytest-xdist workers."""
    with project(USING.format(tests=XDIST_TESTS), 1) as using, project(BY_HAND.format(tests=XDIST_TESTS), 1) as by_hand:

        def way(folder: Path, *plugins: str) -> Way:
            command = ("-p", "xdist.plugin", "-n", str(workers), *plugins)
            return lambda _loops: run_once(folder, *command)[0]

        yield {"ours": way(using, "-p", entry_point()), "peer": way(by_hand)}


@contextmanager
def segments_among(_number: int) -> Iterator[Mapping[str, Way]]:
    """A segment created and removed; the foreign ones are there already."""
    with scope() as ipc:
        yield {"ours": repeated(lambda: objects.segment(ipc)), "peer": repeated(objects.segment_of_peer)}


@contextmanager
def names_among(_number: int) -> Iterator[Mapping[str, Way]]:
    """POSIX shared memory created and removed; the foreign names are there already."""
    with scope() as ipc:
        yield {"ours": repeated(lambda: objects.posix_shm(ipc)), "peer": repeated(objects.posix_shm_of_peer)}


@contextmanager
def forks_of(megabytes: int) -> Iterator[Mapping[str, Way]]:
    """A fork of a process that has written so many megabytes."""
    touched = bytearray(megabytes << 20)
    touched[::PAGE] = b"x" * len(range(0, len(touched), PAGE))
    with processes.forks() as ways:
        yield ways
    del touched


@contextmanager
def reaper_among(number: int) -> Iterator[Mapping[str, Way]]:
    """SIGKILL of the owner of children, among so many unrelated processes."""
    with foreign.processes(number):
        yield {"ours": lambda _loops: after_kill("child", CHILDREN)}


@contextmanager
def reaped(number: int) -> Iterator[Mapping[str, Way]]:
    """The removal of each of so many objects, after SIGKILL."""

    def ours(_loops: int) -> Sample:
        return Sample(after_kill("system-v", number).wall / number, 0.0)

    yield {"ours": ours}


def _leaks_among(kind: str) -> Callable[[int], AbstractContextManager[Mapping[str, Way]]]:
    return lambda number: checked(**{kind: number})


SERIES = (
    Series(
        "objects",
        "a segment created and removed, of a run of",
        "segments",
        (10, 100, 1000, 10_000, 100_000),
        objects_per_run,
        each=True,
        loops=1,
        patience=3,
    ),
    Series(
        "live-segments",
        "a segment created and removed, beside",
        "live ones",
        (0, 10, 100, 1000, 3000),
        live_segments,
        "sysv_ipc",
        inside=lambda _size: foreign.isolated(),
    ),
    Series("live-fifos", "a FIFO created and removed, beside", "live ones", (0, 10, 100, 1000, 5000), live_fifos),
    Series(
        "scope",
        "a segment created, and removed at the end of a scope of",
        "segments",
        (1, 10, 100, 1000, 3000),
        scope_of,
        each=True,
        loops=1,
        inside=lambda _size: foreign.isolated(),
    ),
    Series(
        "children-start",
        "the start of a child, one of",
        "children",
        (1, 10, 50, 100, 200),
        children_started,
        "os.fork",
        each=True,
        loops=1,
    ),
    Series(
        "children-end",
        "the end of a child with its scope, one of",
        "children",
        (1, 10, 50, 100, 200),
        children_ended,
        "os.kill, os.waitpid",
        each=True,
        loops=1,
    ),
    Series(
        "workers",
        f"{XDIST_TESTS} tests with a segment and a child, in",
        "workers",
        (1, 2, 4, 8),
        xdist,
        "the same without the plugin",
        unit=MS,
        loops=1,
    ),
    Series(
        "foreign-segments",
        "a segment created, attached, removed, among",
        "foreign segments",
        (0, 100, 1000, 2000, 4000),
        segments_among,
        "sysv_ipc",
        inside=lambda size: foreign.isolated(segments=size),
    ),
    Series(
        "foreign-names",
        "POSIX shared memory created and removed, among",
        "foreign names",
        (0, 100, 1000, 10_000),
        names_among,
        "multiprocessing.shared_memory",
        inside=lambda size: foreign.isolated(names=size),
    ),
    Series(
        "leaks-among-segments",
        "an empty test with the leak check, among",
        "foreign segments",
        (0, 100, 1000, 2000, 4000),
        _leaks_among("segments"),
        "--ipc-leaks=ignore",
        loops=BLOCK // 4,
    ),
    Series(
        "leaks-among-names",
        "an empty test with the leak check, among",
        "foreign names",
        (0, 100, 1000, 10_000),
        _leaks_among("names"),
        "--ipc-leaks=ignore",
        loops=BLOCK // 4,
    ),
    Series(
        "leaks-among-descriptors",
        "an empty test with the leak check, with",
        "descriptors",
        (0, 100, 500, 1000),
        _leaks_among("descriptors"),
        "--ipc-leaks=ignore",
        loops=BLOCK // 4,
    ),
    Series(
        "descriptors",
        "fork: start, result, end, with",
        "open descriptors",
        (0, 10, 100, 300, 900),
        processes.forks,
        "os.fork, os.waitpid",
    ),
    Series(
        "parent",
        "fork: start, result, end, of a process of",
        "MB",
        (0, 50, 200, 500),
        forks_of,
        "os.fork, os.waitpid",
    ),
    Series(
        "reaper",
        "SIGKILL to the removal of an object, one of",
        "System V objects",
        (10, 100, 1000, 3000),
        reaped,
        each=True,
        clock="wall",
        loops=1,
        inside=lambda _size: foreign.isolated(),
    ),
    Series(
        "foreign-processes",
        f"SIGKILL to the end of {CHILDREN} children, among",
        "unrelated processes",
        (0, 100, 1000, 5000),
        reaper_among,
        clock="wall",
        unit=MS,
        loops=1,
        inside=lambda _size: foreign.own_processes(),
    ),
    Series(
        "compare",
        "pytest-ipc compare --html: a report, one of",
        "reports",
        (10, 100, 300, 1000),
        compare.seconds,
        each=True,
        unit=MS,
        loops=1,
    ),
    Series(
        "compare-memory",
        "memory of pytest-ipc compare --html: a report, one of",
        "reports",
        (10, 100, 300, 1000),
        compare.memory,
        each=True,
        unit=MB,
        loops=1,
        patience=0,
    ),
)
