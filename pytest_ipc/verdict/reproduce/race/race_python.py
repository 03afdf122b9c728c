"""A race as Python source: one file, no dependency but the standard library."""

from __future__ import annotations

from pathlib import Path
from pprint import pformat

from ..text import Words, comment
from .race_calls import KILL, Race

__all__ = ["source"]

_HERE = Path(__file__).parent


def source(race: Race, words: Words) -> str:
    """Return the source."""
    operations = [
        (
            each.worker,
            each.name,
            (race.process_of[each.target], *each.arguments) if each.name == KILL else each.arguments,
            each.provoke,
            each.target,
            each.words,
        )
        for each in race.operations
    ]
    values = {
        "STATEMENT": words.statement,
        "EXPECTED": words.expected,
        "PROCESS_OF": list(race.process_of),
        "NAMES": [race.name_of(worker) for worker in range(len(race.process_of))],
        "OPERATIONS": operations,
        "OF_WORKERS": sum(race.lengths),
        "WAKINGS": race.wakings,
        "IN_STEP": race.in_step,
        "ENDING_KILLS": race.kills_sleepers,
        "INTERRUPTIBLE": race.interruptible,
        "SLEEPING": sorted(race.sleeping),
        "IDENTIFIERS": sorted(race.identifiers),
        "OUTCOMES": list(race.outcomes),
        "EXECUTIONS": [(list(order), list(results)) for order, results in race.executions],
        **{name: int(value) for name, value in race.constants.items() if value.isdigit()},
    }
    parts = [
        "#!/usr/bin/env python3",
        comment(words.heading(is_race=True), "# ", "# ", ""),
        "",
        (_HERE / "run.python").read_text(),
        "# An operation: its worker, -1 for the main process; its name and arguments; what the worker does before it",
        "# to which other one; the call in words. An execution: the order of the operations; their results.",
        *(f"{name} = {pformat(value, width=118)}" for name, value in values.items()),
        *(f"{name} = {value}" for name, value in race.constants.items() if not value.isdigit()),
        "",
        "",
        (_HERE / "calls" / f"{race.calls}.python").read_text(),
        "",
        *((_HERE / f"{part}.python").read_text() for part in ("worker", "watch", "judge", "main")),
    ]
    return "\n".join(parts)
