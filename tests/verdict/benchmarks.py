"""Figures and reports of benchmarks, from given data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from pytest_ipc.verdict.bench import bench_report
from pytest_ipc.verdict.bench.bench_report import BenchReport, Conditions
from pytest_ipc.verdict.bench.figures import Figure, Quantity, summarize
from pytest_ipc.verdict.bench.floor import CallCost
from pytest_ipc.verdict.bench.sampling import Missing

PLATFORM = {"kernel": "Linux 6.12.9 #1 SMP", "architecture": "x86_64, 4096 byte pages", "python": "CPython 3.13.1"}
CALLS = {"builtin": CallCost("builtin", 200.0, 35.0), "native": CallCost("native", 450.0, 250.0)}


@cache
def schema() -> Any:
    """Return the shipped schema, itself validated."""
    found = json.loads(files("pytest_ipc.verdict.bench").joinpath("bench.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def validate(found: Any) -> None:
    """Fail the test if *found* is not a valid report of a benchmark, with the errors."""
    jsonschema.Draft202012Validator(schema()).validate(found)


def figure(mechanism: str, quantity: Quantity, size: int, *medians: float, **more: float) -> Figure:
    """Return a figure whose repetitions have these medians."""
    return summarize(mechanism, quantity, size, [[median] * 50 for median in medians], **more)  # type: ignore[arg-type]


def report(name: str = "box", *figures: Figure, missing: tuple[Missing, ...] = (), **conditions: Any) -> BenchReport:
    """Return a report of a day in January."""
    usual: dict[str, Any] = {"pinning": "processes pinned to CPU 1 and CPU 0", "cpus": 2, "load": 0.1, "quick": False}
    how = Conditions(**(usual | {"interrupted": False} | conditions))
    date = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
    return bench_report.new_report(name, PLATFORM, how, CALLS, figures, missing, date)


def write(folder: Path, found: BenchReport) -> Path:
    """Write a report to a file in *folder*."""
    path = folder / f"{found.name}.json"
    path.write_text(json.dumps(bench_report.as_json(found)))
    return path
