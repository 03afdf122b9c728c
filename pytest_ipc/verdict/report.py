"""A report: the verdict as a JSON file, for comparing, for keeping, for a CI to read.

`schema` counts up when a reader of the old form could be misled. Clauses come in the order of their ids, so that two reports
differ only where the platforms do.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .. import __version__
from .run import SuiteResult

__all__ = ["SCHEMA", "as_json", "write"]

SCHEMA = 1


def as_json(platform: dict[str, str], result: SuiteResult) -> dict[str, Any]:
    """What the report file holds."""
    return {
        "schema": SCHEMA,
        "pytest-ipc": __version__,
        "platform": platform,
        "exit_status": result.exit_status,
        "broken": sorted(result.broken),
        "clauses": [
            {
                "id": found.id,
                "mechanism": found.mechanism,
                "page": found.page,
                "section": found.section,
                "statement": found.statement,
                "verdict": found.verdict.verdict,
                "reason": found.verdict.reason,
                "expected": found.verdict.expected,
                "observed": found.verdict.observed,
                "seconds": round(found.duration, 6),
            }
            for found in result.results
        ],
    }


def check_writable(path: Path) -> None:
    """OSError unless a report can be written to *path*: asked before a long run, not after."""
    if path.is_dir():
        raise IsADirectoryError(21, "is a directory", str(path))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
        pass


def write(path: Path, report: dict[str, Any]) -> None:
    """Write *report* to *path*: whole or not at all, and what was there stays until then. OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # as open() would have made it
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
