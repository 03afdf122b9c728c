"""Rows of the conformance suite: whole runs. Whether a change makes them faster is shown with `--against`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .clock import Sample, Way
from .row import Row, Unit
from .tree import PACKAGE, search_path

__all__ = ["ROWS"]

ALL = 1000  # more mechanisms than there are


@contextmanager
def suite(processes: int) -> Iterator[Mapping[str, Way]]:
    """The suite in so many processes, as for `pytest-ipc check -n`; its size is the number of mechanisms."""

    def ours(size: int) -> Sample:
        names = [] if size >= ALL else mechanisms()[:size]
        command = [sys.executable, "-P", "-m", "pytest_ipc", "check", "-n", str(processes), *names]
        begin = time.perf_counter()
        running = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | search_path(),
        )
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode not in (0, 1):  # 1: there are deviations
            raise RuntimeError(f"pytest-ipc check ended with status {running.returncode}")
        return Sample(time.perf_counter() - begin, used.ru_utime + used.ru_stime)

    yield {"ours": ours}


def mechanisms() -> list[str]:
    """Return the mechanisms of the suite beside the package, or the one that is installed."""
    folder = next(found for name in ("conformance", "pytest_ipc_conformance") if (found := PACKAGE / name).is_dir())
    return sorted(path.parent.name for path in folder.glob("*/test_*.py"))


ROWS = tuple(
    Row(
        f"suite-{processes or 'serial'}",
        f"the conformance suite{f' in {processes} processes' if processes else ''}",
        "",
        None,
        lambda processes=processes: suite(processes),  # type: ignore[misc] # the variable's value now
        clock="wall",
        unit=Unit("s", 1),
        loops=ALL,
        slow=True,
        patience=0,
    )
    for processes in (0, 2)
)
