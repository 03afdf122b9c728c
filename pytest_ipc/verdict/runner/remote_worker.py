"""Run the suite on a platform that another process judges: each verdict is sent at once, on a line of its own.

Started there by the program that remote.py sends, not by people. Each verdict is sent at once, so that it is known even
if the platform dies with the next clause. The lines go to the original standard output; other output goes to the
standard error.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from .. import suite
from ..platform.describe import describe
from ..result import Verdict
from . import run
from .speed import slowness
from .worker_lines import new_sender


def main() -> int:
    """Run the request: python -m pytest_ipc.verdict.runner.remote_worker TOKEN REQUEST."""
    token, request = sys.argv[1], json.loads(sys.argv[2])
    say = new_sender(token)

    def judged(id: str, verdict: Verdict) -> None:
        say("judged", [id, *_fields(verdict)])

    root = suite.location()
    wanted = suite.select(suite.clauses(root), request["names"])
    say("hello", describe())
    say("limit", run.CLAUSE_SECONDS * slowness())
    result = run.run(
        root,
        wanted,
        judged,
        processes=request["processes"],
        shuffle=request["shuffle"],
        thorough=request["thorough"],
    )
    results = [[found.id, *_fields(found.verdict), found.duration] for found in result.results]
    say("done", {"results": results, "broken": result.broken, "interrupted": result.interrupted})
    return 0


def _fields(verdict: Verdict) -> list[Any]:
    return [
        verdict.verdict,
        verdict.reason,
        verdict.expected,
        verdict.observed,
        verdict.evidence,
        verdict.need,
        verdict.trace,
    ]


if __name__ == "__main__":
    sys.exit(main())
