"""Results as a JSON file of pyperf, with what it knows of the machine, so that its commands read it, too.

A benchmark is one way and one clock of a row, `fork/ours/wall`. Its values are in the order of the rounds.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyperf

from .rounds import Figures
from .table import find

__all__ = ["Results", "describe", "read", "write"]

Results = Mapping[str, Mapping[str, Figures]]  # the figures of each way, of each row

_LEAST = 1e-9  # pyperf has no value of zero, which a coarse clock gives
_PRIVATE = ("hostname", "command", "python_executable")


def describe() -> dict[str, str | int | float]:
    """Return the machine, the system, the interpreter, the load, the date and the commit, as pyperf names them."""
    metadata: dict[str, str | int | float] = dict(pyperf.Run([1.0]).get_metadata())
    for name in _PRIVATE:
        metadata.pop(name, None)
    metadata["python_version"] = platform.python_version()
    metadata["load_avg_1min"] = os.getloadavg()[0]
    metadata["date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    metadata["commit"] = _commit()
    return metadata


def write(path: Path, results: Results, metadata: Mapping[str, str | int | float]) -> None:
    """Write *results* to *path*."""
    suite = pyperf.BenchmarkSuite(
        [
            pyperf.Benchmark(
                [
                    pyperf.Run(
                        [max(value, _LEAST) for value in figures.clock(clock)],
                        metadata={**metadata, "name": f"{name}/{way}/{clock}", "unit": find(name).unit.of},
                        collect_metadata=False,
                    )
                ]
            )
            for name, ways in results.items()
            for way, figures in ways.items()
            for clock in ("wall", "cpu")
            if any(figures.clock(clock))
        ]
    )
    suite.dump(str(path), replace=True)


def read(*paths: Path) -> tuple[dict[str, dict[str, Figures]], dict[str, str | int | float]]:
    """Return the results in *paths*, a row from the last one that has it, and the machine that the first is of."""
    suites = [pyperf.BenchmarkSuite.load(str(path)) for path in paths]
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    for suite in suites:
        names = dict.fromkeys(benchmark.get_name().rsplit("/", 2)[0] for benchmark in suite)
        values.update({name: {} for name in names})
        for benchmark in suite:
            row, way, clock = benchmark.get_name().rsplit("/", 2)
            values[row].setdefault(way, {})[clock] = list(benchmark.get_values())
    results = {
        row: {
            way: Figures(clocks["wall"], clocks.get("cpu", [0.0] * len(clocks["wall"]))) for way, clocks in ways.items()
        }
        for row, ways in values.items()
    }
    return results, dict(suites[0].get_benchmarks()[0].get_metadata())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
