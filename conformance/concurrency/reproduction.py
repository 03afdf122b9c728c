"""What a program needs to repeat a plan and to judge its results: the report has it as the `race` of a deviation."""

from __future__ import annotations

from typing import Any

from ..specification import Call, Specification
from .executions import MAIN, Executions, TooMany, kills
from .plan import Act, Plan, workers_of
from .workload import Workload

__all__ = ["to_reproduce"]


def to_reproduce(plan: Plan, workload: Workload, shared: Any) -> dict[str, Any] | None:
    """Return the plan and the allowed results, of numbers, texts and lists only; None if they are too many."""
    for ordered in (True, False):
        found = Executions(plan, workload, shared, ordered=ordered)
        try:
            found.enumerate()
            break
        except TooMany:
            if not ordered:
                return None
    names, specification = workers_of(plan.layout), found.initial
    texts: dict[str, int] = {}
    rows = [[list(order), [texts.setdefault(text, len(texts)) for text in results]] for order, results in found.found]
    waking = [workload.waking(shared)] * found.wakings if plan.ending not in ("", "kill") else []
    return {
        "workload": workload.short_name,
        "parameters": workload.parameters(shared),
        "layout": list(plan.layout),
        "programs": [
            [_act(act, names[worker][1], specification) for act in program]
            for worker, program in enumerate(plan.programs)
        ],
        "in_step": plan.in_step,
        "ending": plan.ending,
        "interruptible": workload.interruptible,
        "sleeping": sorted({name for name, _ in workload.sleeping} - set(workload.limited)),
        "identifiers": list(workload.identifiers),
        "waking": [_act(act, MAIN, specification) for act in waking],
        "closing": [_act(act, MAIN, specification) for act in found.closing],
        "outcomes": list(texts),
        "executions": rows,
    }


def _act(act: Act, process: str, specification: Specification) -> list[Any]:
    words = "SIGKILL" if kills(act) else specification.words(Call(process, act.name, act.arguments))
    return [act.name, _plain(act.arguments), act.provoke, act.target, words]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
