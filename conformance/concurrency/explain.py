"""Explain why a history is not linearizable: the first operation that fits no order, and the results allowed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ..outcome import Outcome
from ..specification import Call, Specification
from .history import Fate, History
from .linearizability import BOUND, Answer, Bound, Step, linearize, results_allowed, steps_of, until

__all__ = ["Explanation", "explain"]

_MOST = 3  # results named; of more, only their number


@dataclass(frozen=True)
class Explanation:
    """The first operation that does not fit, by number, and the deviation in words."""

    operation: int
    expected: str
    observed: str


def explain(
    history: History,
    initial: Specification,
    bound: Bound = BOUND,
    object_of: Callable[[Call], Hashable] | None = None,
) -> Explanation | None:
    """Return the explanation; None if the history is linearizable or the search reached its bound."""
    keys = (
        [None] if object_of is None else [object_of(op.call) for op in history.operations if op.fate is not Fate.ENDED]
    )
    for key in dict.fromkeys(keys):
        steps = steps_of(history, object_of=object_of, key=key)
        if linearize(steps, initial, bound)[0] is not Answer.NOT_LINEARIZABLE:
            continue
        moment = _first_moment(steps, initial, bound)
        known = until(steps, moment)
        # Of a call of several phases the last: it has the result.
        culprit = max(number for number, step in enumerate(known) if step.returned == moment)
        allowed = results_allowed(known, culprit, initial, bound)
        return _in_words(history, known[culprit], allowed, initial)
    return None


def _first_moment(steps: list[Step], state: Specification, bound: Bound) -> int:
    """Return the first time at which the known part is not linearizable; it stays so at all later times."""
    moments = sorted({step.returned for step in steps if step.returned is not None})
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if linearize(until(steps, moments[middle]), state, bound)[0] is Answer.NOT_LINEARIZABLE:
            high = middle
        else:
            low = middle + 1
    return moments[low]


def _in_words(
    history: History, step: Step, allowed: list[tuple[int, Outcome]] | None, state: Specification
) -> Explanation:
    if step.asleep:
        number = min(other for other, _ in allowed) if allowed else step.asleep[0][0]
        operation = history.operations[number]
        results = [result for other, result in allowed or () if other == number]
        return Explanation(
            number,
            f"{state.words(operation.call)} in {operation.worker} to {_one_of(results) or 'return'}",
            "it slept in the call when all others had returned or slept",
        )
    operation = history.operations[step.operation]
    if operation.fate is Fate.ENDED:
        return Explanation(
            step.operation, f"the end of {operation.worker} to be possible", "the specification forbids it"
        )
    name = f"{state.words(operation.call)} in {operation.worker}"
    wanted = _one_of([result for _, result in allowed or ()])
    if allowed is not None and not allowed:
        wanted = "wait"
    return Explanation(
        step.operation,
        f"{name} to {wanted or 'give what fits an order of the calls'}",
        f"it {operation.in_words()}, which fits no order of the calls",
    )


def _one_of(results: list[Outcome]) -> str:
    words = list(dict.fromkeys(result.in_words() for result in results))
    if len(words) > _MOST:
        return " or ".join(words[:_MOST]) + f" or one of {len(words) - _MOST} other results"
    return " or ".join(words)
