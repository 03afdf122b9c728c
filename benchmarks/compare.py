"""How pytest-ipc compare grows with the number of reports: time and memory, which should be in proportion to it.

    python benchmarks/compare.py [--most N] [--html]

Generated reports of every clause of the suite, one in eight of which does not hold; each size is a process of its own.
The disk takes 0.7 MB a report while it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_ipc.verdict import suite
from pytest_ipc.verdict.reports import writer
from pytest_ipc.verdict.result import ClauseResult, SuiteResult, Verdict

STEPS = 4  # each twice the one before

OTHERS = (
    Verdict("deviates", "expected EEXIST, shmget succeeded with 7", "EEXIST", "shmget succeeded with 7"),
    Verdict("absent", "ENOSYS: Function not implemented"),
    Verdict("untested", "needs CAP_IPC_OWNER"),
)


def generate(folder: Path, number: int) -> Iterator[Path]:
    """So many reports, the same ones every time."""
    clauses = suite.clauses(suite.location())
    chance = random.Random(1)
    for count in range(number):
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
        path = folder / f"{count:04}.json"
        writer.write(path, writer.as_json(f"platform {count}", {"kernel": f"Linux 6.{count}"}, SuiteResult(results)))
        yield path


def measure(reports: list[Path], *options: str) -> tuple[float, float]:
    """Return the CPU seconds and MB that comparing them takes: wall time would include other processes."""
    command = [sys.executable, "-m", "pytest_ipc", "compare", *options, *map(str, reports)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"pytest-ipc compare ended with status {running.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    """Measure and report. Return 1 if the last doubling took more than two and a half times as much of either."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--most", type=int, default=1000, metavar="N", help="reports of the largest comparison (1000)")
    parser.add_argument("--html", action="store_true", help="write the page, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reports = list(generate(Path(folder), options.most))
        size = len(json.loads(reports[0].read_text())["clauses"])
        print(f"{size} clauses a report")
        more = ("--html", f"{folder}/matrix.html") if options.html else ()
        measure(reports[:2], *more)  # the files of Python itself are read once
        found = []
        for step in reversed(range(STEPS)):
            number = options.most >> step
            seconds, memory = measure(reports[:number], *more)
            found.append((seconds, memory))
            print(f"{number:6} reports: {seconds:7.2f} s, {1000 * seconds / number:6.1f} ms each; {memory:7.0f} MB")
    return int(any(last > 2.5 * before for before, last in zip(*found[-2:], strict=True)))


if __name__ == "__main__":
    sys.exit(main())
