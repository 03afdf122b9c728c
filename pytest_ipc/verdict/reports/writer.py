"""Write a report: the verdict as a JSON file, described by report.schema.json.

`schema` is increased for incompatible changes. Clauses are sorted by id, so that two reports differ only where the
platforms do.
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
    from .expectations import Comparison

__all__ = ["SCHEMA", "as_json", "write"]

SCHEMA = 2


def as_json(
    name: str,
    platform: Mapping[str, str],
    result: SuiteResult,
    comparison: Comparison | None = None,
    *,
    exit_status: int | None = None,
    date: datetime | None = None,
) -> dict[str, Any]:
    """Return the report of platform *name* at *date*, by default now.

    *comparison* adds the reasons of expectations, *exit_status* the result with them; by default that of *result*
    alone.
    """
    known = comparison.as_expected if comparison is not None else {}
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
                "need": found.verdict.need,
                "expected": found.verdict.expected,
                "observed": found.verdict.observed,
                "evidence": list(found.verdict.evidence),
                **({"trace": json.loads(found.verdict.trace)} if found.verdict.trace else {}),
                "known": known[found.id].in_words if found.id in known else "",
                "seconds": round(found.duration, 6),
            }
            for found in result.results
        ],
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Write *report* to *path* atomically; an existing file is kept until then. OSError."""
    atomic.write(path, json.dumps(report, indent=1) + "\n")
