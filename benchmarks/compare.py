"""What pytest-ipc compare takes for generated reports of every clause, one in eight of which does not hold."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pytest_ipc.verdict import suite
from pytest_ipc.verdict.reports import writer
from pytest_ipc.verdict.result import ClauseResult, SuiteResult, Verdict

from .clock import Sample, Way
from .tree import search_path

__all__ = ["memory", "seconds"]

OTHERS = (
    Verdict("deviates", "expected EEXIST, shmget succeeded with 7", "EEXIST", "shmget succeeded with 7"),
    Verdict("absent", "ENOSYS: Function not implemented"),
    Verdict("untested", "needs CAP_IPC_OWNER"),
)
CHANCES = (
    16  # so many reports differ; more are copies under other names, as generating them takes longer than comparing
)


@contextmanager
def generated(number: int) -> Iterator[list[Path]]:
    """Have so many reports, the same ones every time; 0.7 MB each."""
    clauses = suite.clauses(suite.location())
    chance = random.Random(1)
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{count:04}.json") for count in range(number)]
        for count, path in enumerate(paths[:CHANCES]):
            results = [
                ClauseResult(
                    clause.id,
                    clause.mechanism,
                    clause.page,
                    clause.section,
                    clause.statement,
                    chance.choice(OTHERS) if chance.random() < 1 / 8 else Verdict("holds"),
                    0.001,
                )
                for clause in clauses
            ]
            platform = {"kernel": f"Linux 6.{count}"}
            writer.write(path, writer.as_json(f"platform {count}-", platform, SuiteResult(results)))
            texts.append(path.read_text())
        for count, path in enumerate(paths[CHANCES:], CHANCES):
            original = count % CHANCES
            path.write_text(texts[original].replace(f"platform {original}-", f"platform {count}-"))
        yield paths


def compare(reports: list[Path]) -> tuple[Sample, int]:
    """Return what comparing them in one page takes, and the memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "pytest_ipc", "compare", "--html", f"{folder}/matrix.html"]
        begin = time.perf_counter()
        running = subprocess.Popen(
            [*command, *map(str, reports)], stdout=subprocess.DEVNULL, env=os.environ | search_path()
        )
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode not in (0, 1):  # 1: there are differences
            raise RuntimeError(f"pytest-ipc compare ended with status {running.returncode}")
        return Sample(time.perf_counter() - begin, used.ru_utime + used.ru_stime), used.ru_maxrss * 1024


@contextmanager
def seconds(number: int) -> Iterator[Mapping[str, Way]]:
    """The time for each of *number* reports."""
    with generated(number) as reports:

        def ours(_loops: int) -> Sample:
            taken, _ = compare(reports)
            return Sample(taken.wall / number, taken.cpu / number)

        yield {"ours": ours}


@contextmanager
def memory(number: int) -> Iterator[Mapping[str, Way]]:
    """The memory for each of *number* reports."""
    with generated(number) as reports:

        def ours(_loops: int) -> Sample:
            _, taken = compare(reports)
            return Sample(taken / number, taken / number)

        yield {"ours": ours}
