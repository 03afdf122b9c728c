"""The report of a benchmark as JSON, described by bench.schema.json: written, and read for comparisons.

`schema` is increased for incompatible changes. The figures are in the order of the mechanisms, then of the sizes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..._version import __version__
from ..command_error import CommandError
from ..platform.describe import describe, short_name
from ..reports import input_file
from .figures import QUANTITIES, Figure
from .floor import CallCost
from .mechanisms import MECHANISMS
from .process_costs import COSTS
from .sampling import Bench, Missing
from .textbook import judge

__all__ = [
    "SCHEMA",
    "BenchReport",
    "Conditions",
    "as_json",
    "distinct",
    "from_json",
    "from_json_parts",
    "new_conditions",
    "new_report",
    "of_bench",
    "read",
]

SCHEMA = 1

_ORDER = {id: number for number, id in enumerate([*(m.id for m in MECHANISMS), *(cost.id for cost in COSTS)])}


@dataclass(frozen=True)
class Conditions:
    """How it was measured: `pinning` in words, `load` the load average at the start, -1 if unknown."""

    pinning: str
    cpus: int
    load: float
    quick: bool
    interrupted: bool


@dataclass(frozen=True)
class BenchReport:
    """The figures of one platform."""

    name: str
    date: str
    suite: str
    platform: Mapping[str, str]
    conditions: Conditions
    calls: Mapping[str, CallCost]
    figures: tuple[Figure, ...]
    missing: tuple[Missing, ...]


def new_report(
    name: str,
    platform: Mapping[str, str],
    conditions: Conditions,
    calls: Mapping[str, CallCost],
    figures: Iterable[Figure],
    missing: Iterable[Missing],
    date: datetime | None = None,
) -> BenchReport:
    """Return the report of platform *name* at *date*, by default now. A reason is kept where there is no figure."""
    those = sorted(figures, key=lambda f: (_ORDER.get(f.mechanism, 99), f.quantity != "latency", f.size))
    sizes = {(figure.mechanism, figure.size) for figure in those}
    found = {id for id, _ in sizes}
    reasons = sorted(
        (m for m in missing if ((m.mechanism, m.size) not in sizes if m.size else m.mechanism not in found)),
        key=lambda m: (_ORDER.get(m.mechanism, 99), m.size),
    )
    when = (date or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return BenchReport(name, when, __version__, dict(platform), conditions, dict(calls), tuple(those), tuple(reasons))


def of_bench(bench: Bench, *, name: str = "", quick: bool, load: float, interrupted: bool) -> BenchReport:
    """Return the report of *bench* on this platform, by default with its usual name."""
    platform = describe()
    conditions = new_conditions(bench, quick=quick, load=load, interrupted=interrupted)
    return new_report(
        name or short_name(platform), platform, conditions, bench.calls, bench.figures.values(), bench.reasons.values()
    )


def new_conditions(bench: Bench, *, quick: bool, load: float, interrupted: bool = False) -> Conditions:
    """Return the conditions of *bench*; *load* is the load average before it."""
    return Conditions(bench.pins.said, bench.pins.allowed, load, quick, interrupted)


def as_json(report: BenchReport) -> dict[str, Any]:
    """Return *report* as it is written."""
    return {
        "schema": SCHEMA,
        "pytest-ipc": report.suite,
        "name": report.name,
        "date": report.date,
        "platform": dict(report.platform),
        "conditions": asdict(report.conditions),
        "calls": [asdict(cost) for cost in report.calls.values()],
        "figures": [
            asdict(figure) | {"noise": figure.is_noise, "mostly_calls": figure.is_mostly_calls}
            for figure in report.figures
        ],
        "missing": [asdict(entry) for entry in report.missing],
        "shared_memory_is_the_fastest": [asdict(judgement) for judgement in judge(report.figures)],
    }


def read(path: Path) -> BenchReport:
    """Return the report in the file *path*. CommandError if it is not a valid one."""
    try:
        found = json.loads(input_file.read(path))
    except OSError as error:
        raise CommandError(f"the report {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or "figures" not in found:
        raise CommandError(f"{path} is not a report of pytest-ipc bench --json: it has no figures")
    if found.get("schema") != SCHEMA:
        raise CommandError(f"the schema of {path} must be {SCHEMA}, not {found.get('schema')!r}: upgrade pytest-ipc")
    try:
        return from_json(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CommandError(f"{path} is not a valid report of a benchmark: {what}") from error


def distinct(reports: Sequence[BenchReport]) -> list[BenchReport]:
    """Return *reports* with different names: those of one name get their dates, and numbers if they are equal too."""
    names = [report.name for report in reports]
    dated = [r.name if names.count(r.name) == 1 else f"{r.name}, {r.date}" for r in reports]
    labels = [
        label if dated.count(label) == 1 else f"{label} ({dated[: number + 1].count(label)})"
        for number, label in enumerate(dated)
    ]
    return [replace(report, name=label) for report, label in zip(reports, labels, strict=True)]


def from_json_parts(conditions: Mapping[str, Any], calls: Iterable[Any]) -> tuple[Conditions, dict[str, CallCost]]:
    """Return the conditions and the costs of calls of what as_json() has returned. KeyError, TypeError, ValueError."""
    return _made(Conditions, conditions), {cost["way"]: _made(CallCost, cost) for cost in calls}


def from_json(found: Mapping[str, Any]) -> BenchReport:
    """Return the report of what as_json() has returned. KeyError, TypeError, ValueError for anything else."""
    conditions, calls = from_json_parts(found["conditions"], found["calls"])
    return BenchReport(
        _text(found["name"]),
        _text(found["date"]),
        _text(found["pytest-ipc"]),
        {_text(name): _text(text) for name, text in found["platform"].items()},
        conditions,
        calls,
        tuple(_figure(entry) for entry in found["figures"]),
        tuple(_made(Missing, entry) for entry in found["missing"]),
    )


def _figure(entry: Mapping[str, Any]) -> Figure:
    figure: Figure = _made(Figure, entry)
    if figure.quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, not {figure.quantity!r}")
    if not figure.low <= figure.median <= figure.high and figure.repetitions == 1:
        raise ValueError(f"the median of {figure.mechanism} must be from low to high, not {figure.median}")
    return figure


def _made(kind: Any, entry: Mapping[str, Any]) -> Any:
    """Return an object of the dataclass *kind*; members that it does not have are ignored."""
    values = {}
    for field in fields(kind):
        value = entry[field.name]
        types: tuple[type, ...] = {
            "str": (str,),
            "Quantity": (str,),
            "int": (int,),
            "bool": (bool,),
            "float": (int, float),
            "float | None": (int, float, type(None)),
        }[str(field.type)]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError(f"{field.name} must be of the type {field.type}, not {value!r:.40}")
        values[field.name] = _text(value) if isinstance(value, str) else value
    return kind(**values)


def _text(value: Any) -> str:
    """Return a string without characters that a terminal obeys: reports come from anywhere."""
    if not isinstance(value, str):
        raise TypeError(f"a text must be a string, not {value!r:.40}")
    return "".join(letter if letter.isprintable() else " " for letter in value)
