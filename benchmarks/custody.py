"""Measure the cost of custody: create and remove a System V segment with the ledger, without it, and by bare calls.

    python benchmarks/custody.py [ROUNDS]

The ways take turns, pair by pair, so that a change of the machine's load affects all of them; the medians and the
medians of the differences between turns are reported. The state directory is the usual one: in $XDG_RUNTIME_DIR, or in
the temporary directory.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Self
from unittest import mock

from pytest_ipc import Segment, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, shmctl_rmid, shmget
from pytest_ipc.resources import sysv

TARGET = 10.0  # microseconds a pair


class NoRecord:
    """What a ledger would give, and does nothing."""

    def __init__(self, details: dict[str, Any]) -> None:
        self.details = details

    def made(self, **_identity: Any) -> None:
        """It exists."""

    def closed(self) -> None:
        """It is gone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        pass


def bare() -> None:
    """The kernel's calls alone."""
    shmctl_rmid(shmget(unused_key(), 4096, IPC_CREAT | IPC_EXCL | 0o600))


def with_ledger() -> None:
    """As a user makes one."""
    Segment.create(4096).close()


def timed(way: Callable[[], None]) -> float:
    """Microseconds."""
    start = time.perf_counter_ns()
    way()
    return (time.perf_counter_ns() - start) / 1000


def main() -> None:
    """Measure and report."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    took: dict[str, list[float]] = {"bare": [], "without": [], "with": []}
    with mock.patch.object(sysv, "intent", sysv.intent):  # put back at the end
        original = sysv.intent

        def nothing(_kind: str, **details: Any) -> NoRecord:
            return NoRecord(details)

        for _ in range(rounds):
            took["bare"].append(timed(bare))
            sysv.intent = nothing  # type: ignore[assignment] # gives a record that records nothing
            took["without"].append(timed(with_ledger))
            sysv.intent = original
            took["with"].append(timed(with_ledger))
    median = {name: statistics.median(times) for name, times in took.items()}
    costs = statistics.median(a - b for a, b in zip(took["with"], took["without"], strict=True))
    print(f"{rounds} pairs of create and remove, medians in µs")
    print(f"{median['bare']:8.2f}  bare kernel calls")
    print(f"{median['without']:8.2f}  Segment, without the ledger")
    print(f"{median['with']:8.2f}  Segment, with the ledger")
    print(f"{costs:8.2f}  is what the ledger costs; the target is {TARGET:.0f} at most")


if __name__ == "__main__":
    main()
