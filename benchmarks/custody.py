"""Rows of custody: how soon the objects of a killed process are removed, and what the idle reaper occupies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sysv_ipc

from . import foreign
from .clock import Sample, Stopwatch, Way
from .owner import Owner, reapers
from .row import Goal, Row, Unit

__all__ = ["ROWS", "after_kill"]

OBJECTS = 1000
CHILDREN = 30
FOREIGN = 5000
MS = Unit("ms", 1e3)


def after_kill(kind: str, number: int) -> Sample:
    """Return the time from SIGKILL of the owner to the end of its last object; the reaper's CPU time is not known."""
    with Owner(kind, number) as owner:
        begin = Stopwatch.start()
        owner.kill()
        return Sample(begin.stop().wall, 0.0)


def remove_directly(number: int) -> Sample:
    """Remove so many segments that exist, and do nothing else."""
    segments = [sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=4096) for _ in range(number)]
    for segment in segments:
        segment.detach()
    begin = Stopwatch.start()
    for segment in segments:
        segment.remove()
    return begin.stop()


@contextmanager
def system_v() -> Iterator[Mapping[str, Way]]:
    """Objects of System V."""
    yield {"ours": lambda number: after_kill("system-v", number), "peer": remove_directly}


@contextmanager
def all_kinds() -> Iterator[Mapping[str, Way]]:
    """Objects of every kind that may exist in such numbers."""
    yield {"ours": lambda number: after_kill("all", number), "peer": remove_directly}


@contextmanager
def among_foreign() -> Iterator[Mapping[str, Way]]:
    """Children among that many unrelated processes, and without these."""

    def ours(number: int) -> Sample:
        with foreign.processes(number):
            return after_kill("child", CHILDREN)

    yield {"ours": ours, "peer": lambda _number: after_kill("child", CHILDREN)}


@contextmanager
def idle() -> Iterator[Mapping[str, Way]]:
    """The memory of a reaper that waits, shared pages in proportion."""

    def ours(_loops: int) -> Sample:
        with Owner("segment", 1) as owner:
            (reaper,) = reapers(owner.pid)
            rollup = Path(f"/proc/{reaper}/smaps_rollup").read_text()
            found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
            assert found is not None
            return Sample(int(found[1]) * 1024, int(found[1]) * 1024)

    yield {"ours": ours}


ROWS = (
    Row(
        "reaper-system-v",
        f"SIGKILL to the removal of {OBJECTS} System V objects",
        "a loop over IPC_RMID",
        Goal("value", 100),
        system_v,
        clock="wall",
        unit=MS,
        loops=OBJECTS,
    ),
    Row(
        "reaper-all",
        f"SIGKILL to the removal of {OBJECTS} objects of 7 kinds",
        "a loop over IPC_RMID",
        Goal("value", 100),
        all_kinds,
        clock="wall",
        unit=MS,
        loops=OBJECTS,
    ),
    Row(
        "reaper-foreign",
        f"SIGKILL to the end of {CHILDREN} children among {FOREIGN} other processes",
        "without these",
        Goal("ratio", 1.1),
        among_foreign,
        clock="wall",
        unit=MS,
        loops=FOREIGN,
        slow=True,
        patience=0,
    ),
    Row(
        "reaper-memory",
        "memory of the idle reaper (PSS)",
        "",
        Goal("value", 6),
        idle,
        unit=Unit("MB", 1e-6, of="byte"),
        loops=1,
        patience=0,
    ),
)
