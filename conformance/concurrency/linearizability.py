"""Linearizability: do the results of a history fit some order of its calls that respects real time?

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memoisation ("Testing for
linearizability", 2017): a configuration, the set of operations that have taken effect and the state of the
specification, is visited only once. Independent objects are searched separately (Horn and Kroening, "Faster
linearizability checking via P-compositionality", 2015).

Not every operation must take effect. One that was killed or had not returned may have, at any time after its begin. An
interrupted one has not. A sleeping one has not and could not: at the time when every worker has returned or sleeps, no
sleeping call may be able to return in the state left by the others. This finds lost wake-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import NamedTuple

from ..outcome import Outcome
from ..specification import Call, Specification
from .history import Fate, History

__all__ = ["BOUND", "Answer", "Bound", "Step", "check", "linearize", "results_allowed", "steps_of", "until"]


class Answer(Enum):
    """The answer of a search; UNDECIDED if it reached the bound."""

    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Bound:
    """The bound of one search: configurations visited, and seconds."""

    configurations: int = 50_000
    seconds: float = 2.0


class Step(NamedTuple):
    """A point at which something takes effect.

    `result` None matches every result. `returned` None: no later step is known to begin after it. An `optional` step
    may be omitted, and otherwise precedes the steps `until`. The steps `after` precede this one. A step with `asleep`
    is a time at which none of these calls can return.
    """

    operation: int
    call: Call
    invoked: int
    returned: int | None
    result: Outcome | None = None
    optional: bool = False
    after: tuple[int, ...] = ()
    until: tuple[int, ...] = ()
    asleep: tuple[tuple[int, Call], ...] = ()  # with the number of the operation


BOUND = Bound()
NOBODY = Call("", "")


def steps_of(
    history: History, *, object_of: Callable[[Call], Hashable] | None = None, key: Hashable = None
) -> list[Step]:
    """Return the steps of a history; with *object_of*, only those of the calls on the object *key*."""
    phases = dict(history.phases)
    slept: dict[int, tuple[int, int]] = {}  # for a call that slept: the first and the last time at which it did
    for moment, asleep in history.quiet:
        slept |= {number: (slept.get(number, (moment, 0))[0], moment) for number in asleep}
    chosen = [
        (number, operation)
        for number, operation in enumerate(history.operations)
        if operation.fate is Fate.ENDED or object_of is None or object_of(operation.call) == key
    ]
    steps: list[Step] = []
    ends: dict[str, int] = {}  # for each killed process: the first step of the kernel's clean-up
    for number, operation in chosen:
        if operation.fate is Fate.ENDED:
            ends[operation.call.process] = len(steps)
            steps += _chain(len(steps), phases, Step(number, operation.call, operation.invoked, operation.returned))
    asleep_in: dict[int, Call] = {}  # for a call of several phases: the last of them
    for number, operation in chosen:
        if operation.fate in (Fate.ENDED, Fate.INTERRUPTED):
            continue
        optional = operation.fate in (Fate.KILLED, Fate.UNFINISHED)
        until = (ends[operation.call.process],) if optional and operation.call.process in ends else ()
        whole = Step(
            number, operation.call, operation.invoked, operation.returned, operation.result, optional, until=until
        )
        *first, last = _chain(len(steps), phases, whole)
        asleep_in[number] = last.call
        if number in slept:  # all effects but the last precede the sleep, the last follows it
            first = [step._replace(returned=slept[number][0] - 1, optional=False) for step in first]
            last = last._replace(invoked=slept[number][1] + 1)
        steps += first if operation.fate is Fate.BLOCKED else [*first, last]
    for process, place in ends.items():  # after all steps of the process
        end = steps[place]
        before = (n for n, step in enumerate(steps) if step.call.process == process and step.operation != end.operation)
        steps[place] = end._replace(after=tuple(n for n in before if not steps[n].optional))
    for moment, asleep in history.quiet:
        if calls := tuple((number, asleep_in[number]) for number in sorted(asleep) if number in asleep_in):
            steps.append(Step(-1, NOBODY, moment, moment, asleep=calls))
    return steps


def _chain(place: int, phases: Mapping[str, tuple[str, ...]], whole: Step) -> list[Step]:
    """Return the steps of a call in order, the first at *place*; the last one has the result."""
    names = phases.get(whole.call.name, (whole.call.name,))
    return [
        whole._replace(
            call=whole.call._replace(name=name),
            result=whole.result if number == len(names) - 1 else None,
            after=(place + number - 1,) if number else (),
        )
        for number, name in enumerate(names)
    ]


class _Enough(Exception):
    """The search has reached its bound."""


class _Problem:
    """A search: which steps may follow a set of others, as bit masks."""

    def __init__(self, steps: Sequence[Step], bound: Bound) -> None:
        self.steps = steps
        self.required = sum(1 << number for number, step in enumerate(steps) if not step.optional)
        self.before = [self._before(step) for step in steps]
        self.barred = [sum(1 << other for other in step.until) for step in steps]
        # Try steps in the order of their returns, which most linearizable histories fit.
        never = max((step.returned or 0 for step in steps), default=0) + 1
        self.order = sorted(range(len(steps)), key=lambda number: steps[number].returned or never)
        self._left = bound.configurations
        self._until = monotonic() + bound.seconds

    def _before(self, step: Step) -> int:
        mask = sum(1 << other for other in step.after)
        for number, other in enumerate(self.steps):
            if not other.optional and other.returned is not None and other.returned < step.invoked:
                mask |= 1 << number
        return mask

    def next(
        self, done: int, state: Specification, unknown: int = -1
    ) -> Iterator[tuple[int, Specification, Outcome | None]]:
        """Yield the steps that may come next, each with the next state; the step *unknown* with every result."""
        for number in self.order:
            if done >> number & 1 or self.before[number] & ~done or self.barred[number] & done:
                continue
            step = self.steps[number]
            if step.asleep:
                if all(state.sleeps(call) for _, call in step.asleep):
                    yield number, state, None
                continue
            for result, after in state.apply(step.call):
                if number == unknown:
                    yield number, after, result
                elif step.result is None or result == step.result:
                    yield number, after, None

    def spend(self) -> None:
        """Count a configuration. _Enough at the bound."""
        self._left -= 1
        if self._left < 0 or (self._left & 0xFF == 0 and monotonic() > self._until):
            raise _Enough


def linearize(steps: Sequence[Step], initial: Specification, bound: Bound = BOUND) -> tuple[Answer, list[int]]:
    """Search for an order of *steps* that the specification allows from *initial*; return the answer and order."""
    problem = _Problem(steps, bound)
    if not problem.required:
        return Answer.LINEARIZABLE, []
    seen: set[tuple[int, Specification]] = {(0, initial)}
    path: list[int] = []
    stack = [(0, problem.next(0, initial))]
    try:
        while stack:
            done, candidates = stack[-1]
            for number, state, _ in candidates:
                now = done | 1 << number
                if not problem.required & ~now:
                    return Answer.LINEARIZABLE, [*path, number]
                if (now, state) not in seen:
                    problem.spend()
                    seen.add((now, state))
                    path.append(number)
                    stack.append((now, problem.next(now, state)))
                    break
            else:
                stack.pop()
                if path:
                    path.pop()
    except _Enough:
        return Answer.UNDECIDED, []
    return Answer.NOT_LINEARIZABLE, []


def results_allowed(
    steps: Sequence[Step], unknown: int, initial: Specification, bound: Bound = BOUND
) -> list[tuple[int, Outcome]] | None:
    """Return the possible results of the step *unknown* in all orders that fit the others; None at the bound.

    Each result comes with the number of its operation; for a time at which calls sleep, with those of these calls.
    """
    asked = steps[unknown]
    if asked.asleep:
        problem = _Problem([step for number, step in enumerate(steps) if number != unknown], bound)
    else:
        problem = _Problem(steps, bound)
    found: dict[tuple[int, Outcome], None] = {}
    todo: list[tuple[int, Specification, Outcome | None]] = [(0, initial, None)]
    seen = set(todo)
    try:
        while todo:
            done, state, given = todo.pop()
            if not problem.required & ~done:
                if asked.asleep:
                    for number, call in asked.asleep:
                        results = [] if state.sleeps(call) else [result for result, _ in state.apply(call)]
                        found |= dict.fromkeys((number, result) for result in results)
                elif given is not None:
                    found[asked.operation, given] = None
            for number, after, result in problem.next(done, state, -1 if asked.asleep else unknown):
                entry = done | 1 << number, after, given if result is None else result
                if entry not in seen:
                    problem.spend()
                    seen.add(entry)
                    todo.append(entry)
    except _Enough:
        return None
    return list(found)


def check(
    history: History,
    initial: Specification,
    bound: Bound = BOUND,
    object_of: Callable[[Call], Hashable] | None = None,
) -> Answer:
    """Search each object of the history, by default one. *initial* is the initial state of each."""
    keys: Iterable[Hashable] = (None,)
    if object_of is not None:
        keys = dict.fromkeys(object_of(op.call) for op in history.operations if op.fate is not Fate.ENDED)
    answers = set()
    for key in keys:
        answers.add(linearize(steps_of(history, object_of=object_of, key=key), initial, bound)[0])
    for answer in (Answer.NOT_LINEARIZABLE, Answer.UNDECIDED):
        if answer in answers:
            return answer
    return Answer.LINEARIZABLE


def until(steps: Sequence[Step], moment: int) -> list[Step]:
    """Return the steps as known at a *moment*: without those not begun, and with those not returned as optional."""
    kept = [number for number, step in enumerate(steps) if step.invoked <= moment]
    renumbered = {old: new for new, old in enumerate(kept)}

    def at(step: Step) -> Step:
        after, till = (tuple(renumbered[n] for n in some if n in renumbered) for some in (step.after, step.until))
        step = step._replace(after=after, until=till)
        if step.returned is None or step.returned <= moment:
            return step
        return step._replace(returned=None, result=None, optional=True)

    return [at(steps[number]) for number in kept]
