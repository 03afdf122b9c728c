"""The Common Test Report Format of a check: a test for each clause of each platform, in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..._version import __version__
from ..result import ClauseResult
from .judged import Judged

__all__ = ["as_json"]

_VERSION = "0.0.0"  # of the format
_STATUS = {"passed": "passed", "failed": "failed", "skipped": "skipped", "broken": "other"}


def as_json(platforms: Sequence[Judged]) -> dict[str, Any]:
    """Return the report; its environment describes the platform if there is only one."""
    tests = [_test(judged, found) for judged in platforms for found in judged.result.results]
    tests += [_failure(judged, text) for judged in platforms for text in judged.failures()]
    counts = Counter(test["status"] for test in tests)
    start = min((_milliseconds(judged) for judged in platforms), default=0)
    stop = max((_milliseconds(judged) + round(judged.seconds * 1000) for judged in platforms), default=0)
    results: dict[str, Any] = {
        "tool": {"name": "pytest-ipc", "version": __version__},
        "summary": {
            "tests": len(tests),
            **{status: counts[status] for status in ("passed", "failed", "skipped", "pending", "other")},
            "suites": len(platforms),
            "start": start,
            "stop": stop,
        },
        "tests": tests,
    }
    if len(platforms) == 1:
        results["environment"] = {"appName": platforms[0].name, "extra": dict(platforms[0].platform)}
    return {"reportFormat": "CTRF", "specVersion": _VERSION, "generatedBy": "pytest-ipc", "results": results}


def _milliseconds(judged: Judged) -> int:
    return int(judged.started.timestamp() * 1000)


def _test(judged: Judged, found: ClauseResult) -> dict[str, Any]:
    verdict = found.verdict
    test: dict[str, Any] = {
        "name": found.id,
        "status": _STATUS[judged.outcome(found)],
        "duration": round(found.duration * 1000),
        "suite": [judged.name, found.mechanism],
        "rawStatus": verdict.verdict,
        "tags": [found.id, found.page, found.section],
        "extra": {"statement": found.statement},
    }
    if verdict.verdict != "holds":
        test["message"] = judged.message(found)
    if verdict.evidence:
        test["trace"] = "\n".join(verdict.evidence)
    return test


def _failure(judged: Judged, text: str) -> dict[str, Any]:
    return {"name": "the suite itself", "status": "other", "duration": 0, "suite": [judged.name], "message": text}
