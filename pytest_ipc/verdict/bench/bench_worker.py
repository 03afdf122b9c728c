"""Measure on a platform for another process: each figure is sent at once, on a line of its own.

Started there by the program that runner/connection.py sends, not by people.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from ..platform.describe import describe
from ..runner.speed import slowness
from ..runner.stop import interrupted_by_signals
from ..runner.worker_lines import new_sender
from . import bench_report, cpus
from .figures import Figure
from .mechanisms import named
from .sampling import FULL, LIMIT, QUICK, Bench, Missing

__all__ = ["main"]


class _Sender:
    """A listener that sends everything."""

    def __init__(self, token: str) -> None:
        self.say = new_sender(token)

    def step(self, number: int, what: str) -> None:
        self.say("step", [number, what])

    def measured(self, figure: Figure) -> None:
        self.say("figure", asdict(figure))

    def missing(self, entry: Missing) -> None:
        self.say("missing", asdict(entry))


def main() -> int:
    """Measure as requested: python -m pytest_ipc.verdict.bench.bench_worker TOKEN REQUEST."""
    token, request = sys.argv[1], json.loads(sys.argv[2])
    load, sender = cpus.load_average(), _Sender(token)
    with interrupted_by_signals():
        sender.say("hello", describe())
        sender.say("limit", LIMIT * slowness())
        bench = Bench(QUICK if request["quick"] else FULL, sender, named(request["names"]))
        conditions = bench_report.new_conditions(bench, quick=request["quick"], load=load)
        content: dict[str, Any] = {"steps": bench.steps, "conditions": asdict(conditions)}
        sender.say("began", content | {"calls": [asdict(cost) for cost in bench.calls.values()]})
        bench.run()
        sender.say("done", None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
