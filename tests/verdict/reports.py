"""Reports for comparisons, as written by check, and their validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from pytest_ipc.verdict.reports import writer
from pytest_ipc.verdict.result import ClauseResult, SuiteResult, Verdict

PLATFORM = {"kernel": "Linux 6.12.9 #1 SMP", "libc": "glibc 2.41", "architecture": "x86_64, 4096 byte pages"}

HOLDS = Verdict("holds")
DEVIATES = Verdict("deviates", "expected EEXIST, shmget succeeded with 7", "EEXIST", "shmget succeeded with 7")
SEEN = Verdict(
    "deviates",
    DEVIATES.reason,
    DEVIATES.expected,
    DEVIATES.observed,
    ("shm/test_shmget.py:42: shmget(key, 1, flags)", "shmget(5, 1, 1920) = 6", "shmget(5, 1, 1920) = 7"),
)
DISPUTED = Verdict("disputed", "the manual says one thing; this platform, like Linux, does another")
ABSENT = Verdict("absent", "ENOSYS: Function not implemented", need="system-calls")
UNTESTED = Verdict("untested", "needs CAP_IPC_OWNER", need="cap-ipc-owner")
BROKEN = Verdict("broken", "setup: NameError: name 'x' is not defined")


@cache
def schema() -> Any:
    """Return the shipped schema, itself validated."""
    found = json.loads(files("pytest_ipc.verdict.reports").joinpath("report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def validate(found: Any) -> None:
    """Fail the test if *found* is not a valid report, with the errors."""
    jsonschema.Draft202012Validator(schema()).validate(found)


def result(id: str, verdict: Verdict) -> ClauseResult:
    """Return the result of a clause; the part of its id before the dot is its mechanism and its manual page."""
    mechanism = id.partition(".")[0]
    return ClauseResult(id, mechanism, f"{mechanism}(2)", "ERRORS", f"The clause {id} is kept", verdict, 0.001)


def make(name: str, verdicts: Mapping[str, Verdict], *, day: int = 1, broken: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a report on the platform *name* of a day in January."""
    results = [result(id, verdict) for id, verdict in sorted(verdicts.items())]
    return writer.as_json(
        name, PLATFORM, SuiteResult(results, list(broken)), date=datetime(2026, 1, day, 12, 30, tzinfo=UTC)
    )


def write(folder: Path, name: str, verdicts: Mapping[str, Verdict], **options: Any) -> Path:
    """Write such a report to a file in *folder*."""
    path = folder / f"{name}-{options.get('day', 1)}.json"
    writer.write(path, make(name, verdicts, **options))
    return path
