"""Write a report: the verdict as a JSON file, described by report.schema.json.

`schema` counts up when a reader of the old form could be misled. Clauses come in the order of their ids, so that two reports
differ only where the platforms do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._version import __version__
from . import atomic

if TYPE_CHECKING:
    from ..result import SuiteResult
    from .expectations import Reckoning

__all__ = ["SCHEMA", "as_json", "write"]

SCHEMA = 1


def as_json(
    name: str,
    platform: Mapping[str, str],
    result: SuiteResult,
    reckoning: Reckoning | None = None,
    *,
    exit_status: int | None = None,
    date: datetime | None = None,
) -> dict[str, Any]:
    """What the report file holds: the verdict on the platform *name*, as it was on *date*, or now.

    *reckoning* says what of it was expected, and *exit_status* what came of that; without, what came of *result* alone.
    """
    known = reckoning.known if reckoning is not None else {}
    return {
        "schema": SCHEMA,
        "pytest-ipc": __version__,
        "name": name,
        "date": (date or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "platform": dict(platform),
        "exit_status": result.exit_status if exit_status is None else exit_status,
        "broken": sorted(result.broken),
        "clauses": [
            {
                "id": found.id,
                "mechanism": found.mechanism,
                "page": found.page,
                "section": found.section,
                "manual": found.source.manual,
                "level": found.source.level,
                "since": found.source.since,
                "statement": found.statement,
                "verdict": found.verdict.verdict,
                "reason": found.verdict.reason,
                "expected": found.verdict.expected,
                "observed": found.verdict.observed,
                "evidence": list(found.verdict.evidence),
                "known": known[found.id].reason if found.id in known else "",
                "seconds": round(found.duration, 6),
            }
            for found in result.results
        ],
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Write *report* to *path*: whole or not at all, and what was there stays until then. OSError."""
    atomic.write(path, json.dumps(report, indent=1) + "\n")
