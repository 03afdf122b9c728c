"""A campaign: histories of one workload, until one does not fit the specification or the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from errno import ENOSYS
from random import Random
from time import monotonic
from typing import Any

from pytest_ipc import Deviation, scope, untested
from pytest_ipc.verdict.judge.limits_reached import limit_in_the_way, need_of

from ..outcome import Fails
from ..specification import Call, Specification
from .crew import Crew
from .explain import Explanation, explain
from .history import Fate, History
from .linearizability import BOUND, Answer, Bound, check
from .plan import SIGKILL, Act, Plan, processes_of
from .reproduction import to_reproduce
from .timeline import svg, text
from .workload import Budget, Workload

__all__ = ["Campaign", "Finding", "Summary", "draw"]

_ASK_AGAIN = 500  # histories
_DISTURBED = (0.0, 0.0, 0.0, 0.1, 0.6)  # the share of calls before which another worker is disturbed
_PLACEMENTS = ("together", "apart", "together", "anywhere", "together")


@dataclass(frozen=True)
class Finding:
    """A history that fits no order of its calls, the shortest found, and its plan."""

    history: History
    explanation: Explanation
    plan: Plan
    words: Callable[[Call], str]
    before: int  # valid histories before it
    shared: Any = None  # the object of the history
    race: dict[str, Any] | None = None  # the plan and the allowed results, for a program

    def deviation(self) -> Deviation:
        """Return the deviation; its evidence is the timeline."""
        found = Deviation(self.explanation.expected, self.explanation.observed)
        found.evidence = tuple(self.timeline())
        found.race = self.race
        operation = self.history.operations[self.explanation.operation]
        if isinstance(operation.result, Fails):
            found.__cause__ = operation.result.as_error(self.words(operation.call).partition("(")[0])
        return found

    def timeline(self) -> list[str]:
        """Return the history as lines of text."""
        return text(self.history, self.words, self.explanation.operation)

    def svg(self) -> str:
        """Return the history as an SVG element."""
        return svg(self.history, self.words, self.explanation.operation)


@dataclass
class Summary:
    """Statistics of a campaign without a finding."""

    histories: int = 0
    undecided: int = 0
    operations: int = 0
    overlapping: int = 0  # pairs of calls
    asleep: int = 0  # histories that ended with a sleeping call
    seconds: float = 0.0
    searching: float = 0.0  # seconds of these spent in the search


def draw(workload: Workload, random: Random, layout: tuple[int, ...]) -> Plan:
    """Return a random plan."""
    workers = len(processes_of(layout))
    programs = [[*program] for program in workload.programs(random, workers)]
    process_of = processes_of(layout)

    def other(worker: int) -> int | None:
        others = [each for each in range(workers) if process_of[each] != process_of[worker]]
        return random.choice(others) if others else None

    disturbed = random.choice(_DISTURBED) if workload.provocations else 0.0
    for worker, program in enumerate(programs):
        for place, act in enumerate(program):
            if random.random() < disturbed and (target := other(worker)) is not None:
                program[place] = replace(act, provoke=random.choice(workload.provocations), target=target)
    if random.random() < workload.kills:
        worker = random.randrange(workers)
        if (target := other(worker)) is not None:
            place = random.randint(1, max(len(programs[worker]) * 2 // 3, 1))  # leaves work for the others afterwards
            programs[worker].insert(place, Act(SIGKILL, (random.random() < 0.6,), "", target))
    return Plan(
        layout,
        tuple(map(tuple, programs)),
        random.choice(_PLACEMENTS),
        random.random() < 0.85,
        random.choice(workload.endings),
    )


class _LimitReached(Exception):
    """A call failed for a documented limit, so that the history does not show the mechanism."""


class Campaign:
    """Histories of one workload. Run it in a separate process: it forks workers and changes their scheduling."""

    def __init__(self, workload: Workload, budget: Budget, seed: object = 0, bound: Bound = BOUND) -> None:
        self._workload = workload
        self._budget = budget
        self._random = Random(f"{type(workload).__name__} {seed}")
        self._bound = bound
        self._crews: dict[tuple[int, ...], Crew] = {}
        self.summary = Summary()

    def run(
        self, known: Callable[[], Iterable[Plan]] = tuple, keep: Callable[[Plan], None] | None = None
    ) -> Finding | Summary:
        """Try the *known* plans, then random ones; return the finding, or the summary when the budget is spent.

        *known* is called again at intervals, as other processes may add plans. The plan of a finding is passed to
        *keep* before and after shrinking. Untested if a documented limit is in the way.

        A history may deviate because of what an earlier one has left. Such a finding does not occur in new workers, and
        others are searched for a while.
        """
        begin = monotonic()
        first: Finding | None = None
        until = begin
        tried: set[Plan] = set()
        try:
            while not self._spent(monotonic() - begin) and (first is None or monotonic() < until):
                if self.summary.histories % _ASK_AGAIN == 0:
                    for plan in set(known()) - tried:
                        tried.add(plan)
                        if finding := self._again(plan):
                            return self._shrunk(finding, keep)
                layouts = self._workload.layouts
                # Layouts in turn, several histories each, so that few crews are started.
                layout = layouts[self.summary.histories * len(layouts) // max(self._budget.histories, 1) % len(layouts)]
                if finding := self._try(draw(self._workload, self._random, layout)):
                    if keep is not None:
                        keep(finding.plan)
                    if first is None:
                        first, until = finding, monotonic() + self._budget.shrinking
                    if self._confirmed(finding, until):
                        return self._shrunk(finding, keep)
            if first is not None:
                return self._shrunk(first, keep)
            self.summary.seconds = monotonic() - begin
            return self.summary
        except _LimitReached as error:
            untested(need_of(str(error)), f"a documented limit is in the way: {error}")
        finally:
            self.close()

    def close(self) -> None:
        """Terminate the workers."""
        self._dismiss()
        self._workload.finish()

    def _dismiss(self) -> None:
        for crew in self._crews.values():
            crew.close()
        self._crews.clear()

    def _spent(self, seconds: float) -> bool:
        return self.summary.histories >= self._budget.histories or seconds > self._budget.seconds

    def _again(self, plan: Plan) -> Finding | None:
        """Repeat a plan, as a deviation need not occur every time."""
        return next((found for _ in range(self._budget.attempts) if (found := self._try(plan))), None)

    def _try(self, plan: Plan) -> Finding | None:
        """Make a history of *plan*; return the finding if it does not fit. OSError if the platform lacks a call."""
        crew = self._crews.get(plan.layout)
        if crew is None:
            crew = self._crews[plan.layout] = Crew(self._workload, plan.layout)
        with scope() as ipc:
            shared = self._workload.make(ipc)
            try:
                history = crew.run(plan, shared)
            finally:
                self._workload.unmake(shared)
        for operation in history.operations:
            if operation.result == Fails(ENOSYS):
                raise OSError(ENOSYS, f"{operation.call.name}: Function not implemented")
        specification = self._workload.specification(shared, history)
        begin = monotonic()
        answer = check(history, specification, self._bound, self._workload.object_of)
        summary = self.summary
        summary.searching += monotonic() - begin
        summary.histories += 1
        summary.undecided += answer is Answer.UNDECIDED
        summary.operations += len(history.operations)
        summary.overlapping += history.overlapping()
        summary.asleep += bool(history.quiet)
        if answer is not Answer.NOT_LINEARIZABLE:
            return None
        return self._finding(plan, shared, history, specification)

    def _finding(self, plan: Plan, shared: Any, history: History, specification: Specification) -> Finding | None:
        explained = explain(history, specification, self._bound, self._workload.object_of)
        if explained is None:
            return None
        result = history.operations[explained.operation].result
        if isinstance(result, Fails) and (limit := limit_in_the_way(result.error)):
            raise _LimitReached(limit)
        history, explained = self._only_what_matters(history, explained, specification)
        return Finding(history, explained, plan, specification.words, self.summary.histories - 1, shared)

    def _only_what_matters(
        self, history: History, explained: Explanation, specification: Specification
    ) -> tuple[History, Explanation]:
        """Remove the operations after the deviation, and failed calls, if the rest still does not fit.

        A failed call changes nothing: if the rest fits no order, neither does the whole.
        """
        phased = {name for name, _ in history.phases}
        culprit = history.operations[explained.operation]
        slept = [moment for moment, asleep in history.quiet if explained.operation in asleep]
        end = culprit.returned if culprit.returned is not None else max(slept, default=None)
        if end is not None:
            late = [n for n, op in enumerate(history.operations) if op.invoked > end]
            history, explained = self._without(history, specification, late) or (history, explained)
        for number in reversed(range(len(history.operations))):
            operation = history.operations[number]
            no_effect = operation.fate is Fate.INTERRUPTED or (
                isinstance(operation.result, Fails)
                and operation.result.errno not in specification.changing
                and operation.call.name not in phased
            )
            if no_effect and number != explained.operation:
                history, explained = self._without(history, specification, [number]) or (history, explained)
        return history, explained

    def _without(
        self, history: History, specification: Specification, dropped: list[int]
    ) -> tuple[History, Explanation] | None:
        if not dropped:
            return None
        shorter = history.without(dropped)
        again = explain(shorter, specification, self._bound, self._workload.object_of)
        return (shorter, again) if again is not None else None

    def _confirmed(self, finding: Finding, until: float) -> Finding | None:
        """Repeat the plan in new workers each time, without what earlier histories may have left in the others."""
        for _ in range(self._budget.attempts):
            if monotonic() > until:
                break
            self._dismiss()
            if found := self._shorter(finding.plan):
                return found
        return None

    def _shorter(self, plan: Plan) -> Finding | None:
        """Try a smaller plan; one that does not finish or reaches a limit is ignored."""
        try:
            return self._try(plan)
        except _LimitReached:
            return None
        except OSError:
            self._dismiss()
            return None

    def _shrunk(self, finding: Finding, keep: Callable[[Plan], None] | None) -> Finding:
        """Search for a smaller plan that also leads to a deviation, in new workers too, within the time."""
        until = monotonic() + self._budget.shrinking
        found_before = [finding]
        best = finding
        improved = True
        while improved:
            improved = False
            for plan in best.plan.smaller():
                for _ in range(self._budget.attempts):
                    if monotonic() > until:
                        improved = False
                        break
                    if found := self._shorter(plan):
                        if len(found.history.operations) <= len(best.history.operations) + 1:
                            best = replace(found, before=finding.before)
                            found_before.append(best)
                            improved = True
                        break
                if improved or monotonic() > until:
                    break
        until = monotonic() + self._budget.shrinking / 2
        best = next((each for each in reversed(found_before[1:]) if self._confirmed(each, until)), finding)
        if best is not finding and keep is not None:
            keep(best.plan)
        needed = best.plan.only([(op.worker, op.call) for op in best.history.operations])
        race = to_reproduce(best.plan, self._workload, best.shared) or to_reproduce(needed, self._workload, best.shared)
        return replace(best, race=race)
