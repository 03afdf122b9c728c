"""A crew records what its workers really did: results, order, sleep, interruption, death."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from errno import EAGAIN, EMFILE, ENOMEM, ENOSPC
from typing import Any

import pytest

from conformance.concurrency.crew import Crew
from conformance.concurrency.history import Fate, History
from conformance.concurrency.plan import SIGKILL, Act, Plan
from conformance.concurrency.thread_state import waits_for_interpreter
from conformance.concurrency.workload import Here
from conformance.outcome import Gives
from pytest_ipc import Fork, scope
from pytest_ipc.kernel import Timespec, futex_wait
from pytest_ipc.resource import COULD_NOT_MAKE

from .workloads import Counter, Tokens, acts


@pytest.fixture
def history_of(fork: Fork) -> Callable[..., History]:
    """Make the history of a plan, in a process of its own: history_of(workload, plan)."""

    def make(workload: Any, plan: Plan) -> History:
        def life() -> History:
            with scope() as ipc, Crew(workload, plan.layout) as crew:
                return crew.run(plan, workload.make(ipc))

        found: History = fork(life).result(timeout=30)
        return found

    return make


def test_sequential_calls_are_recorded_in_order(history_of):
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


def test_interrupted_call_differs_from_a_failed_one(history_of):
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

    made = fork(life).result(timeout=30)
    assert made[1::2] == [2, 2]


def test_broken_worker_is_an_error_not_a_deviation(history_of):
    class Broken(Counter):
        def get(self, fd: int | str) -> int:
            raise ZeroDivisionError

    with pytest.raises(RuntimeError, match="worker B has ended by itself"):
        history_of(Broken(), Plan((1, 1), acts("add", "get")))


class Refused(Counter):
    """Worker B cannot begin."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def enter(self, here: Here) -> int:
        if here.worker == 1:
            raise self.error
        return super().enter(here)


@pytest.mark.parametrize(
    ("error", "number"),
    [(OSError(EMFILE, "openat: Too many open files"), EMFILE), (MemoryError(), ENOMEM)],
    ids=["EMFILE", "MemoryError"],
)
def test_a_worker_that_cannot_begin_raises_its_error(history_of, error, number):
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        history_of(Refused(error), Plan((1, 1), acts("add", "add")))
    assert caught.value.errno == number
    assert COULD_NOT_MAKE in caught.value.__notes__


def test_process_at_its_thread_limit_raises_eagain(history_of, monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="pthread_create: can't start new thread") as caught:
        history_of(Counter(), Plan((2, 1), acts("add", "add", "add")))
    assert caught.value.errno == EAGAIN


class Descriptors(Counter):
    """Hands eight descriptors to workers that, from the second history on, may open a few less."""

    def descriptors(self, shared: str) -> tuple[int, ...]:
        return (0,) * 8

    def enter(self, here: Here) -> int:
        assert len(here.fds) == 8
        fd = super().enter(here)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return fd


def test_worker_at_its_descriptor_limit_raises_emfile(fork):
    def life() -> None:
        workload, plan = Descriptors(), Plan((1, 1), acts("get", "get"))
        with scope() as ipc, Crew(workload, plan.layout) as crew:
            shared = workload.make(ipc)
            crew.run(plan, shared)
            crew.run(plan, shared)

    with pytest.raises(OSError, match="recvmsg: Too many open files"):
        fork(life).result(timeout=30)


def sleeps_in_futex(address: int, seconds: float | None) -> None:
    futex_wait(address, 0, None if seconds is None else Timespec.of(seconds))


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_thread_that_waits_for_the_interpreter_does_not_sleep_in_its_call(fork, mapped_file, seconds):
    """It waits in a futex(2) with a timeout, which the calls of workloads have only where they are limited."""
    child = fork(sleeps_in_futex, mapped_file().address, seconds)
    child.wait_blocked("futex")
    assert waits_for_interpreter(child.pid, child.pid) is (seconds is not None)
    child.close()


def test_the_text_of_an_error_is_kept(history_of):
    class Failing(Counter):
        def get(self, fd: int | str) -> int:
            raise OSError(ENOSPC, "shmget: No space left on device")

    history = history_of(Failing(), Plan((1, 1), acts("get", "add")))
    (result,) = [op.result for op in history.operations if op.worker == "A"]
    assert result.errno == ENOSPC
    assert str(result.error) == str(OSError(ENOSPC, "shmget: No space left on device"))


def test_stopped_worker_continues_when_its_stopper_sleeps(history_of):
    plan = Plan((1, 1), (acts("put")[0], (Act("take", (), "stop", 0), Act("take"))))
    history = history_of(Tokens(), plan)
    assert [op.result for op in history.operations if op.worker == "A"] == [Gives()]
    assert [op.fate for op in history.operations if op.worker == "B"] == [Fate.RETURNED, Fate.BLOCKED]


def test_uninterruptible_worker_is_killed(history_of):
    class Stubborn(Tokens):
        interruptible = False

    history = history_of(Stubborn(), Plan((1, 1), acts("take", "put take take")))
    killed = [op for op in history.operations if op.fate is Fate.KILLED]
    assert len(killed) in (1, 2)
    assert len([op for op in history.operations if op.fate is Fate.ENDED]) == len(killed)
    assert len(history.quiet[-1][1]) == len(killed)
