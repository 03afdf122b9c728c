"""A crew records what its workers really did: results, order, sleep, interruption, death."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.concurrency.crew import Crew
from conformance.concurrency.history import Fate, History
from conformance.concurrency.plan import SIGKILL, Act, Plan
from conformance.outcome import Gives
from pytest_ipc import Fork, scope

from .workloads import Counter, Tokens, acts


@pytest.fixture
def history_of(fork: Fork) -> Callable[..., History]:
    """Make the history of a plan, in a process of its own: history_of(workload, plan)."""

    def make(workload: Any, plan: Plan) -> History:
        def life() -> History:
            with scope() as ipc, Crew(workload, plan.layout) as crew:
                return crew.run(plan, workload.make(ipc))

        found: History = fork(life).result(30)
        return found

    return make


def test_what_workers_did_one_after_another_is_recorded_in_that_order(history_of):
    plan = Plan((1, 1), acts("add add add", "add add"), placement="together")
    history = history_of(Counter(), plan)
    made = sorted((op.result.value for op in history.operations if op.call.name == "add"), key=int)
    assert made == [1, 2, 3, 4, 5]
    assert all(op.invoked < op.returned for op in history.operations)
    assert [op.worker for op in history.operations] == ["A"] * 3 + ["B"] * 2 + ["main"]


@pytest.mark.parametrize("placement", ["together", "apart", "anywhere"])
def test_calls_of_processes_and_threads_overlap(history_of, placement):
    overlapping = 0
    for _ in range(5):
        history = history_of(Counter(), Plan((2, 1), acts("add " * 6, "add " * 6, "add " * 6), placement=placement))
        overlapping += history.overlapping()
        assert history.workers == ("A1", "A2", "B", "main")
        assert {op.call.process for op in history.operations} == {"A", "B", "main"}
    assert overlapping > 0


def test_a_call_that_sleeps_at_the_end_is_recorded_as_asleep(history_of):
    history = history_of(Tokens(), Plan((1, 1), acts("put take take take put", "put")))
    asleep = [op for op in history.operations if op.fate is Fate.BLOCKED]
    assert [(op.worker, op.call.name, op.returned, op.result) for op in asleep] == [("A", "take", None, None)]
    assert [op.call.name for op in history.operations if op.worker == "A"][-1] == "take"  # the rest is left out
    ((moment, numbers),) = history.quiet
    assert [history.operations[number] for number in numbers] == asleep
    assert all(op.invoked < moment for op in history.operations)


def test_an_interrupted_call_is_told_from_one_that_failed(history_of):
    programs = (acts("take take")[0], (Act("until_a_sleeps"), Act("until_a_sleeps", (), "signal", 0), Act("put")))
    history = history_of(Tokens(), Plan((1, 1), programs))
    fates = [op.fate for op in history.operations if op.worker == "A"]
    assert fates == [Fate.INTERRUPTED, Fate.RETURNED]


def test_a_killed_worker_and_its_end_are_recorded(history_of):
    plan = Plan((1, 1), (acts("take")[0], (Act(SIGKILL, (), "", 0),)))
    history = history_of(Tokens(), plan)
    (end,) = [op for op in history.operations if op.fate is Fate.ENDED]
    assert (end.worker, end.call.name) == ("A", "ends")
    assert end.returned is not None
    assert end.invoked < end.returned
    assert {op.fate for op in history.operations if op is not end} <= {Fate.KILLED}


def test_after_a_worker_was_killed_another_takes_its_place(fork):
    def life() -> list[int]:
        workload = Counter()
        kill = Plan((1, 1), (acts("add")[0], (Act(SIGKILL, (), "", 0),)))
        with Crew(workload, (1, 1)) as crew:
            made = []
            for plan in (kill, Plan((1, 1), acts("add", "add")), kill, Plan((1, 1), acts("add", "add"))):
                with scope() as ipc:
                    history = crew.run(plan, workload.make(ipc))
                made.append(len([op for op in history.operations if op.result is not None and op.worker != "main"]))
            return made

    made = fork(life).result(30)
    assert made[1::2] == [2, 2]


def test_a_worker_that_breaks_is_an_error_and_no_deviation(history_of):
    class Broken(Counter):
        def get(self, fd: int | str) -> int:
            raise ZeroDivisionError

    with pytest.raises(RuntimeError, match="worker B has ended by itself"):
        history_of(Broken(), Plan((1, 1), acts("add", "get")))


def test_a_stopped_worker_goes_on_when_who_stopped_it_sleeps(history_of):
    plan = Plan((1, 1), (acts("put")[0], (Act("take", (), "stop", 0), Act("take"))))
    history = history_of(Tokens(), plan)
    assert [op.result for op in history.operations if op.worker == "A"] == [Gives()]
    assert [op.fate for op in history.operations if op.worker == "B"] == [Fate.RETURNED, Fate.BLOCKED]


def test_what_cannot_be_interrupted_is_killed(history_of):
    class Stubborn(Tokens):
        interruptible = False

    history = history_of(Stubborn(), Plan((1, 1), acts("take", "put take take")))
    killed = [op for op in history.operations if op.fate is Fate.KILLED]
    assert len(killed) in (1, 2)
    assert len([op for op in history.operations if op.fate is Fate.ENDED]) == len(killed)
    assert len(history.quiet[-1][1]) == len(killed)
