"""Run the suite on a platform that another process judges: each verdict is sent at once, on a line of its own.

Started there by what `elsewhere` sends, and not by people. What is told at once is known even if the platform dies with the next
clause. The lines go to what was the standard output; whatever else would write there goes to the standard error from here on.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .. import suite
from ..platform.describe import describe
from ..result import Verdict
from . import run
from .speed import slowness


def main() -> int:
    """python -m pytest_ipc.verdict.runner.remote_worker TOKEN REQUEST. The exit status, which says nothing of the verdict."""
    token, request = sys.argv[1], json.loads(sys.argv[2])
    channel = os.dup(1)
    os.dup2(2, 1)

    def say(word: str, content: Any) -> None:
        line = f"{token} {json.dumps([word, content])}\n".encode()
        while line:
            line = line[os.write(channel, line) :]

    def told(id: str, verdict: Verdict) -> None:
        say("told", [id, *_fields(verdict)])

    root = suite.location()
    wanted = suite.select(suite.clauses(root), request["names"])
    say("hello", describe())
    say("limit", run.CLAUSE_SECONDS * slowness())
    result = run.run(
        root,
        wanted,
        told,
        processes=request["processes"],
        shuffle=request["shuffle"],
        thorough=request["thorough"],
    )
    results = [[found.id, *_fields(found.verdict), found.duration] for found in result.results]
    say("done", {"results": results, "broken": result.broken, "interrupted": result.interrupted})
    return 0


def _fields(verdict: Verdict) -> list[Any]:
    return [verdict.verdict, verdict.reason, verdict.expected, verdict.observed, verdict.evidence]


if __name__ == "__main__":
    sys.exit(main())
