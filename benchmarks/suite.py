"""Measure the time of the conformance suite: of a whole run, of each mechanism, and of the slowest clauses.

    python benchmarks/suite.py [-n N] [NAME...]

Run on an idle machine: clauses that wait for other processes take longer on a busy one. The targets are those of a
machine with two CPUs: 30 s without -n, 17 s with -n 2.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TARGETS = {"0": 30.0, "2": 17.0}  # seconds, by the number of processes
SLOWEST = 10


def main() -> int:
    """Measure and report; return the exit status of the check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-n", dest="processes", default="0", help="processes, as for pytest-ipc check")
    parser.add_argument("names", nargs="*", metavar="NAME", help="mechanisms or clauses; everything by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pytest_ipc", "check", "-n", options.processes, "--report", str(report)]
        begin = time.perf_counter()
        run = subprocess.run([*command, *options.names], stdout=subprocess.DEVNULL, check=False)
        seconds = time.perf_counter() - begin
        if not report.exists():
            return run.returncode
        clauses = json.loads(report.read_text())["clauses"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    target = (
        "" if options.names or options.processes not in TARGETS else f"; the target is {TARGETS[options.processes]:.0f}"
    )
    print(f"{len(clauses)} clauses in {seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU time{target}")
    total: Counter[str] = Counter()
    number: Counter[str] = Counter()
    for clause in clauses:
        total[clause["mechanism"]] += clause["seconds"]
        number[clause["mechanism"]] += 1
    for mechanism, spent in total.most_common():
        print(f"{spent:8.2f} s  {mechanism}, {number[mechanism]} clauses")
    print("the slowest:")
    for clause in sorted(clauses, key=lambda clause: clause["seconds"], reverse=True)[:SLOWEST]:
        print(f"{clause['seconds']:8.2f} s  {clause['id']}")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
