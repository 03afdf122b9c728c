"""The executions of a plan that a program compares its results with: none is missing, and none is too many."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import pytest_ipc.verdict.reproduce.race as sources
from conformance.concurrency.campaign import draw
from conformance.concurrency.crew import Crew
from conformance.concurrency.executions import Executions, TooMany, text_of
from conformance.concurrency.history import Operation
from conformance.concurrency.plan import SIGKILL, Act, Plan
from conformance.concurrency.reproduction import to_reproduce
from conformance.concurrency.workload import Workload
from conformance.fifo.concurrent import Fifo
from conformance.lock.concurrent import DescriptionLocks, Leases, RecordLocks, WholeFile
from conformance.msg.concurrent import Queue
from conformance.pipe.concurrent import SmallPipe
from conformance.posix.concurrent import Names, Notified, PosixQueue, PosixSemaphore
from conformance.process.concurrent import Children
from conformance.sem.concurrent import Semaphores, Undone
from conformance.shm.concurrent import Segments
from conformance.signal.concurrent import Pending
from conformance.socket.concurrent import Datagrams, Packets
from conformance.sync.concurrent import Counter, Futex
from conformance.sync.pthread_concurrent import Barrier, Condition, Mutex, Rwlock
from pytest_ipc import scope
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_NOWAIT, SEM_UNDO
from pytest_ipc.verdict.reproduce.race.race_calls import CALLS, race_of
from pytest_ipc.verdict.reproduce.steps import Missing

FILES = (Fifo, DescriptionLocks, Leases, RecordLocks, WholeFile, SmallPipe)
POSIX = (Names, Notified, PosixQueue, PosixSemaphore)
OTHERS = (Queue, Semaphores, Undone, Segments, Pending, Children, Datagrams, Packets)
MEMORY = (Counter, Futex, Barrier, Condition, Mutex, Rwlock)
WORKLOADS: tuple[type[Workload], ...] = (*FILES, *POSIX, *OTHERS, *MEMORY)


def found(plan: Plan, workload: Workload, shared: object = 0, *, ordered: bool = True) -> list[tuple[str, ...]]:
    executions = Executions(plan, workload, shared, ordered=ordered)
    executions.enumerate()
    return sorted(results for _, results in executions.found)


def send(text: bytes = b"a") -> Act:
    return Act("msgsnd", (1, text, IPC_NOWAIT))


def receive(flags: int = IPC_NOWAIT) -> Act:
    return Act("msgrcv", (16, 0, flags))


def test_each_order_has_its_results():
    rows = found(Plan((1, 1), ((send(),), (receive(),))), Queue())
    assert {row[:2] for row in rows} == {("returned", "ENOMSG"), ("returned", '1 "a"')}


def test_a_call_that_no_other_can_wake_sleeps():
    rows = found(Plan((1, 1), ((receive(0),), (send(), receive()))), Queue())
    assert {row[:3] for row in rows} == {('1 "a"', "returned", "ENOMSG"), ("sleeps", "returned", '1 "a"')}


def test_removal_wakes_a_sleeping_call():
    rows = found(Plan((1,), ((receive(0),),), ending="remove"), Queue())
    assert {row[:2] for row in rows} == {("EIDRM", "returned"), ("EINVAL", "returned")}


def test_a_killed_process_may_have_recorded_its_last_call_or_not():
    take = Act("semop", (((0, -1, IPC_NOWAIT | SEM_UNDO),),))
    plan = Plan((1, 1), ((Act(SIGKILL, (True,), "", 1),), (take,)))
    rows = found(plan, Undone())
    assert set(rows) == {("returned", text, "1 0") for text in ("not called", "killed in the call", "returned")}


def test_a_disturbed_call_may_be_interrupted():
    plan = Plan((1, 1), ((Act("msgsnd", (1, b"a", IPC_NOWAIT), "signal", 1),), (receive(0),)))
    assert {row[1] for row in found(plan, Queue())} == {"EINTR", '1 "a"'}


def test_identifiers_are_numbered_in_the_order_of_the_calls():
    make = Act("get", (0, IPC_CREAT | IPC_EXCL))
    rows = found(Plan((1, 1), ((make,), (Act("get", (1, IPC_CREAT)),))), Segments())
    assert {row[:2] for row in rows} == {("identifier 1", "identifier 1"), ("EEXIST", "identifier 1")}


def test_too_many_executions_are_refused():
    plan = Plan((1, 1, 1), tuple(tuple(send(f"{w}{n}".encode()) for n in range(6)) for w in range(3)))
    with pytest.raises(TooMany):
        found(plan, Queue())


@pytest.mark.parametrize("workload", [Queue, RecordLocks, PosixSemaphore, Segments, Futex, Children, Undone])
def test_what_a_kernel_gives_is_among_them(fork, workload):
    """Every history of this kernel that is linearizable has the results of one of the executions."""

    def life() -> int:
        random, judged, subject = Random(7), 0, workload()
        subject.calls, subject.endings = 2, ("",)
        for layout in ((1, 1), (2,)) if workload is Children else ((1, 1),):
            with Crew(subject, layout) as crew:
                for _ in range(25):
                    plan = draw(subject, random, layout)
                    with scope() as ipc:
                        shared = subject.make(ipc)
                        try:
                            history = crew.run(plan, shared)
                        finally:
                            subject.unmake(shared)
                    race = to_reproduce(plan, subject, shared)
                    if race is None or any(op.result is None for op in history.operations):
                        continue  # a call that was killed or sleeps has no result
                    judged += 1
                    texts = [text_of_operation(op, subject) for op in history.operations]
                    rows = [[race["outcomes"][place] for place in results] for _, results in race["executions"]]
                    assert any(without(row) == without(texts) for row in rows), (plan, texts, rows[:5])
        subject.finish()
        return judged

    assert fork(life).result(timeout=60) > 4


def text_of_operation(operation: Operation, workload: Workload) -> str:
    assert operation.result is not None
    if operation.call.name in workload.identifiers and text_of(operation.result).isdigit():
        return "identifier"
    return text_of(operation.result)


def without(row: list[str]) -> list[str]:
    """Return the results without the numbers of identifiers and what was not called."""
    return [text.partition(" ")[0] if text.startswith("identifier") else text for text in row if text != "not called"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.__name__)
def test_every_call_of_every_workload_is_there_as_source(workload):
    subject, random = workload(), Random(1)
    names = {act.name for _ in range(300) for program in subject.programs(random, 3) for act in program}
    names |= {act.name for act in subject.closing(0)}
    if {"remove", "wake"} & {*subject.endings}:
        names.add(subject.waking(0).name)
    file, _ = CALLS[subject.short_name]
    for suffix, form in ((".c", "OP do_{}(int n, int w"), (".python", "def do_{}(w")):
        text = (Path(sources.__file__).parent / "calls" / f"{file}{suffix}").read_text()
        assert not [name for name in names if form.format(name) not in text]
        for other in ("make", "unmake", "enter"):
            assert f"{other}(" in text


def test_an_invalid_race_of_a_report_is_refused():
    valid = to_reproduce(Plan((1, 1), ((send(),), (receive(),))), Queue(), 0)
    assert valid is not None
    assert race_of(valid).processes == 2
    changes: tuple[dict[str, object], ...] = (
        {"workload": "msg.Other"},
        {"programs": [[["msgsnd", ['"); system("id'], "", 0, ""]], []]},
        {"programs": [[["msgsnd); x(", [], "", 0, ""]], []]},
        {"programs": []},
        {"outcomes": ["returned"]},
        {"executions": []},
        {"parameters": {"SIZE": "x"}},
    )
    for change in changes:
        with pytest.raises(Missing):
            race_of(valid | change)
