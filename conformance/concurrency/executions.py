"""All sequential executions of a plan that a specification allows, for a program that checks its results by them.

A program that repeats the calls of a plan needs no search: it compares their results with this list. An execution is
an order of the calls, each with its result; it fits what happened if the results are the same, and no call in it comes
before one that had returned when it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from errno import EINTR
from itertools import product
from typing import Any

from pytest_ipc.kernel import errno_name

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification
from .history import Fate, History, Operation
from .plan import SIGKILL, Act, Plan, processes_of, workers_of
from .workload import Workload

__all__ = ["MAIN", "Executions", "TooMany", "kills", "text_of"]

SLEEPS, KILLED, NOT_CALLED = "sleeps", "killed in the call", "not called"
MAIN = "main"
_ORDERED = 600  # executions; of more, only the results
_RESULTS = 3000  # different results of all calls
_VISITED = 20_000  # states
_WAKING = {"": 0, "wake": 3}  # calls of the main process that wake sleeping calls


def text_of(outcome: Outcome) -> str:
    """Return an outcome as a program prints it: "EAGAIN", "returned", '2 "a0"'."""
    return errno_name(outcome.errno) if isinstance(outcome, Fails) else _text(outcome.value)


def _text(value: Any) -> str:
    if value is None:
        return "returned"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f'"{value.decode("latin-1")}"'
    if isinstance(value, tuple):
        return " ".join(f"({_text(part)})" if isinstance(part, tuple) else _text(part) for part in value) or "nothing"
    return str(value)


@dataclass(frozen=True)
class _Node:
    """A state of an execution. `at` has the call of each worker and the phase in it, `ends` the steps of each death."""

    state: Specification
    at: tuple[tuple[int, int], ...]
    results: tuple[tuple[int, str], ...] = ()
    order: tuple[int, ...] = ()
    ends: tuple[tuple[int, int, int], ...] = ()  # killing operation, process, steps made
    woken: int = 0


class TooMany(Exception):
    """There are more executions than a program can contain."""


class Executions:
    """The executions of a plan; `found` has the order of the operations of each, if *ordered*, and their results.

    Operations are numbered: those of the workers one after another, then the calls that wake sleeping ones, then the
    closing calls.
    """

    def __init__(self, plan: Plan, workload: Workload, shared: Any, *, ordered: bool) -> None:
        self._plan, self._workload, self._ordered = plan, workload, ordered
        self._names = workers_of(plan.layout)
        self._process_of = processes_of(plan.layout)
        self._phases: Mapping[str, tuple[str, ...]] = dict(workload.phases)
        self._sleeping = {name for name, _ in workload.sleeping} - set(workload.limited)
        lengths = [len(program) for program in plan.programs]
        self._first = [sum(lengths[:worker]) for worker in range(len(lengths))]
        self._wakings = sum(lengths)
        self.wakings = _WAKING.get(plan.ending, 1)
        self._waking = workload.waking(shared) if plan.ending not in ("", "kill") else None
        self.closing = workload.closing(shared)
        self.operations = self._wakings + self.wakings + len(self.closing)
        self._disturbed = {
            self._process_of[act.target] for program in plan.programs for act in program if act.provoke in _SIGNALS
        }
        self.initial = workload.specification(shared, self._possible())
        self._seen: set[_Node] = set()
        self.found: dict[tuple[tuple[int, ...], tuple[str, ...]], None] = {}

    def _possible(self) -> History:
        """Return a history from which a specification takes the values that the kernel may choose."""
        victims = {self._process_of[act.target] for program in self._plan.programs for act in program if kills(act)}
        operations = [
            Operation(
                self._names[worker][0],
                Call(self._names[worker][1], act.name, act.arguments),
                0,
                None,
                Gives(self._first[worker] + number),
                Fate.KILLED if self._process_of[worker] in victims else Fate.RETURNED,
            )
            for worker, program in enumerate(self._plan.programs)
            for number, act in enumerate(program)
        ]
        return History(tuple(operations), (), self._workload.phases, tuple(self._names))

    def enumerate(self) -> None:
        """Find all executions. TooMany."""
        todo = [_Node(self.initial, ((0, 0),) * len(self._names))]
        visited = 0
        while todo:
            node = todo.pop()
            visited += 1
            if visited > _VISITED or len(self.found) > (_ORDERED if self._ordered else _RESULTS):
                raise TooMany
            for following in self._next(node):
                if not self._ordered:
                    following = replace(following, order=(), results=tuple(sorted(following.results)))
                if following not in self._seen:
                    self._seen.add(following)
                    todo.append(following)

    def _next(self, node: _Node) -> Iterator[_Node]:
        dead = {process for _, process, made in node.ends if made}
        asleep, is_quiet = [], True
        for worker, (number, phase) in enumerate(node.at):
            process = self._process_of[worker]
            if process in dead or number == len(self._plan.programs[worker]):
                continue
            act = self._plan.programs[worker][number]
            yield from self._steps(node, worker, act, number, phase)
            names = self._phases.get(act.name, (act.name,))
            call = self._call(worker, act, names[-1])
            if phase == len(names) - 1 and act.name in self._sleeping and node.state.sleeps(call):
                asleep.append(worker)
            else:
                is_quiet = False
        for place, (killer, process, made) in enumerate(node.ends):
            chain = self._phases.get("ends", ("ends",))
            if made < len(chain):
                is_quiet = False
                ends = (*node.ends[:place], (killer, process, made + 1), *node.ends[place + 1 :])
                for _, after in self._apply(node.state, Call(chr(65 + process), chain[made])):
                    yield replace(node, state=after, order=(*node.order, killer), ends=ends)
        if is_quiet:
            yield from self._when_quiet(node, asleep)

    def _steps(self, node: _Node, worker: int, act: Act, number: int, phase: int) -> Iterator[_Node]:
        """Yield what a worker may do next."""
        operation = self._first[worker] + number

        def at(number: int, phase: int = 0) -> tuple[tuple[int, int], ...]:
            return (*node.at[:worker], (number, phase), *node.at[worker + 1 :])

        if kills(act):
            victim = self._process_of[act.target]
            done = (*node.results, (operation, "returned"))
            if phase == 0:
                ends = (*node.ends, (operation, victim, 0))
                waits = bool(act.arguments and act.arguments[0])
                after = replace(node, ends=ends)
                yield replace(after, at=at(number, 1)) if waits else replace(after, at=at(number + 1), results=done)
            elif all(made for _, process, made in node.ends if process == victim):
                yield replace(node, at=at(number + 1), results=done)
            return
        names = self._phases.get(act.name, (act.name,))
        disturbed = self._process_of[worker] in self._disturbed
        for result, state in self._apply(node.state, self._call(worker, act, names[phase]), node):
            if result == Fails(EINTR) and len(names) > 1 and not disturbed:
                continue
            after = replace(node, state=state, order=(*node.order, operation))
            if phase < len(names) - 1:
                yield replace(after, at=at(number, phase + 1))
            else:
                yield replace(after, at=at(number + 1), results=(*node.results, (operation, text_of(result))))
        if disturbed and len(names) == 1 and act.name in dict(self._workload.sleeping):
            yield replace(node, at=at(number + 1), results=(*node.results, (operation, "EINTR")))

    def _apply(
        self, state: Specification, call: Call, node: _Node | None = None
    ) -> Iterable[tuple[Outcome, Specification]]:
        """Return what a call may give; of several new identifiers one, as they are compared by their order."""
        if node is None or call.name not in self._workload.identifiers:
            return state.apply(call)
        known = {text for _, text in node.results}
        found, new = [], False
        for result, after in state.apply(call):
            if text_of(result) in known or isinstance(result, Fails) or not new:
                found.append((result, after))
            new = new or (isinstance(result, Gives) and text_of(result) not in known)
        return found

    def _call(self, worker: int, act: Act, name: str) -> Call:
        return Call(self._names[worker][1], name, act.arguments)

    def _when_quiet(self, node: _Node, asleep: list[int]) -> Iterator[_Node]:
        """Wake sleeping calls, or end the execution, when every worker has finished or sleeps."""
        operation = self._wakings + node.woken
        if not asleep or node.woken == self.wakings:
            self._end(node, asleep)
        elif self._waking is None:  # kill one of their processes
            for process in {self._process_of[worker] for worker in asleep}:
                results = (*node.results, (operation, chr(65 + process)))
                ends = (*node.ends, (operation, process, 0))
                yield replace(node, results=results, ends=ends, woken=node.woken + 1)
        else:
            for result, state in node.state.apply(Call(MAIN, self._waking.name, self._waking.arguments)):
                results = (*node.results, (operation, text_of(result)))
                yield replace(node, state=state, results=results, order=(*node.order, operation), woken=node.woken + 1)

    def _end(self, node: _Node, asleep: list[int]) -> None:
        results = [NOT_CALLED] * self.operations
        for operation, text in node.results:
            results[operation] = text
        for worker in asleep:
            results[self._first[worker] + node.at[worker][0]] = SLEEPS
        closed = [(node.state, tuple(results), node.order)]
        for number, act in enumerate(self.closing):
            operation = self._wakings + self.wakings + number
            closed = [
                (after, (*done[:operation], text_of(result), *done[operation + 1 :]), (*order, operation))
                for state, done, order in closed
                for result, after in state.apply(Call(MAIN, act.name, act.arguments))
            ]
        for _, done, order in closed:
            for each in self._as_recorded(node, list(done)):
                self.found[order if self._ordered else (), self._renamed(each)] = None

    def _as_recorded(self, node: _Node, results: list[str]) -> Iterator[list[str]]:
        """Yield the results that the workers of killed processes may have recorded."""
        dead = {process for _, process, _ in node.ends}
        choices: list[list[tuple[tuple[int, str], ...]]] = []
        for worker, (number, phase) in enumerate(node.at):
            operation, program = self._first[worker] + number, self._plan.programs[worker]
            if self._process_of[worker] not in dead:
                continue
            if phase or results[operation : operation + 1] == [SLEEPS]:
                choices.append([((operation, KILLED),)])
                continue
            choice: list[tuple[tuple[int, str], ...]] = [()]
            if number < len(program):
                choice.append(((operation, KILLED),))
            if number > 0:
                choice.append(((operation - 1, KILLED),))
            choices.append(choice)
        for chosen in product(*choices):
            changed = list(results)
            for operation, text in (each for some in chosen for each in some):
                changed[operation] = text
            yield changed

    def _renamed(self, results: list[str]) -> tuple[str, ...]:
        """Number the identifiers in the order of the operations, as they differ from run to run."""
        numbers: dict[str, str] = {}
        renamed = []
        for operation, text in enumerate(results):
            if self._name(operation) in self._workload.identifiers and text.lstrip("-").isdigit():
                text = numbers.setdefault(text, f"identifier {len(numbers) + 1}")
            renamed.append(text)
        return tuple(renamed)

    def _name(self, operation: int) -> str:
        for first, program in zip(self._first, self._plan.programs, strict=True):
            if first <= operation < first + len(program):
                return program[operation - first].name
        return ""


_SIGNALS = ("signal", "stop")


def kills(act: Act) -> bool:
    """Return whether the act is no call but kills the process of its target."""
    return act.name == SIGKILL
