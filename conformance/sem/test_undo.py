"""semop(2): SEM_UNDO, what a process has done to semaphores taken back at its end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGKILL
from typing import Any

import pytest

from pytest_ipc import Child, Fork, Pipe, SemaphoreSet, clause
from pytest_ipc.kernel import GETVAL, IPC_NOWAIT, SEM_UNDO, semctl, semop


@dataclass(frozen=True)
class Holder:
    """An actor that has done its operations, and waits at a gate to be let go to its end."""

    actor: Child[Any]
    gate: Pipe

    def leave(self) -> None:
        """Let it go."""
        self.gate.write(b"!")
        assert self.actor.wait() == 0


@pytest.fixture
def holder(fork: Fork, pipe: Callable[..., Pipe]) -> Callable[..., Holder]:
    """Start one: holder(semaphores, (num, op, SEM_UNDO), ...)."""

    def start(semaphores: SemaphoreSet, *operations: tuple[int, ...]) -> Holder:
        gate = pipe()

        def life() -> None:
            semop(semaphores.id, operations)
            gate.read(1)

        actor = fork(life)
        actor.wait_blocked("read")
        return Holder(actor, gate)

    return start


@clause("semundo.exit-restores", "semop(2)", "DESCRIPTION")
def test_the_end_takes_it_back(sysv_sem, holder):
    """What an operation with SEM_UNDO has added or taken is taken back when the process ends, and not before."""
    semaphores = sysv_sem(2, values=[1, 4])
    held = holder(semaphores, (0, -1, SEM_UNDO), (1, 3, SEM_UNDO))
    assert semaphores.values == [0, 7]
    held.leave()
    assert semaphores.values == [1, 4]


@clause("semundo.sigkill-restores", "semop(2)", "DESCRIPTION")
def test_a_violent_end_takes_it_back(sysv_sem, holder):
    """It is taken back also when the process is killed."""
    semaphores = sysv_sem(values=[1])
    held = holder(semaphores, (0, -1, SEM_UNDO))
    assert semaphores.values == [0]
    held.actor.signal(SIGKILL)
    assert held.actor.wait() == -signal.SIGKILL
    assert semaphores.values == [1]


@clause("semundo.without-flag-stays", "semop(2)", "DESCRIPTION")
def test_without_the_flag_it_stays(sysv_sem, holder):
    """What was done without SEM_UNDO stays when the process ends."""
    semaphores = sysv_sem(2, values=[1, 4])
    holder(semaphores, (0, -1), (1, 3)).leave()
    assert semaphores.values == [0, 7]


@clause("semundo.wakes-waiters", "semop(2)", "NOTES")
def test_taking_back_wakes(sysv_sem, holder, waiting):
    """Who waits goes on when the end of another process gives him what he waits for, more or 0."""
    semaphores = sysv_sem(2, values=[1, 0])
    held = holder(semaphores, (0, -1, SEM_UNDO), (1, 1, SEM_UNDO))
    taker, waiter = waiting(semaphores, (0, -1)), waiting(semaphores, (1, 0))
    held.actor.signal(SIGKILL)
    assert (taker.result(), waiter.result()) == (0, 0)
    assert semaphores.values == [0, 0]


@clause("semundo.sum-of-ops", "semop(2)", "NOTES")
def test_the_sum_is_taken_back(sysv_sem, holder):
    """The sum of all operations with SEM_UNDO on a semaphore is taken back, and only of these."""
    semaphores = sysv_sem(2, values=[2, 9])
    held = holder(semaphores, (0, 3, SEM_UNDO), (0, -1, SEM_UNDO), (0, 5), (1, -4), (1, -2, SEM_UNDO))
    assert semaphores.values == [9, 3]
    held.leave()
    assert semaphores.values == [7, 5]


@clause("semundo.of-each-process", "semop(2)", "NOTES")
def test_each_process_takes_back_its_own(sysv_sem, holder):
    """Each process takes back what it has done itself, in whatever order they end."""
    semaphores = sysv_sem(values=[10])
    first, second = holder(semaphores, (0, -1, SEM_UNDO)), holder(semaphores, (0, -4, SEM_UNDO))
    assert semaphores.values == [5]
    first.leave()
    assert semaphores.values == [6]
    second.leave()
    assert semaphores.values == [10]


@clause("semundo.clamp-zero", "semop(2)", "BUGS")
def test_no_value_goes_below_zero(sysv_sem, holder):
    """Where taking back would make a value less than 0 it becomes 0, and the process ends without waiting."""
    semaphores = sysv_sem(2, values=[0, 1])
    held = holder(semaphores, (0, 3, SEM_UNDO), (1, -1, SEM_UNDO))
    semop(semaphores.id, [(0, -2)])
    held.leave()
    assert semaphores.values == [0, 1]


@clause("semundo.failed-op-leaves-none", "semop(2)", "DESCRIPTION")
def test_what_was_not_done_is_not_taken_back(sysv_sem, fork):
    """An array that could not be done leaves nothing to take back."""
    semaphores = sysv_sem(2, values=[5, 0])

    def fail() -> None:
        with pytest.raises(BlockingIOError):
            semop(semaphores.id, [(0, -1, SEM_UNDO), (1, -1, SEM_UNDO | IPC_NOWAIT)])

    fork(fail).result()
    assert semaphores.values == [5, 0]


@clause("semundo.not-inherited-fork", "fork(2)", "DESCRIPTION")
def test_a_child_has_nothing_to_take_back(sysv_sem, fork):
    """A forked child has no adjustments: its end takes back nothing of what its parent has done; the parent's does."""
    semaphores = sysv_sem(values=[1])

    def life() -> int:
        semop(semaphores.id, [(0, -1, SEM_UNDO)])
        fork(int).result()
        return semctl(semaphores.id, 0, GETVAL)

    assert fork(life).result() == 0
    assert semaphores.values == [1]


@clause("semundo.kept-exec", "semop(2)", "NOTES")
def test_another_program_keeps_it(sysv_sem, fork):
    """Executing another program takes back nothing; the end of that program does."""
    semaphores = sysv_sem(values=[1])
    source = "import sys, pytest_ipc.kernel as ipc; sys.exit(40 + ipc.semctl(int(sys.argv[1]), 0, ipc.GETVAL))"

    def life() -> None:
        semop(semaphores.id, [(0, -1, SEM_UNDO)])
        os.execv(sys.executable, [sys.executable, "-P", "-c", source, str(semaphores.id)])

    actor = fork(life)
    assert actor.wait(60) == 40, actor.output
    assert semaphores.values == [1]


@clause("semundo.thread-exit-no-undo", "clone(2)", "CLONE_SYSVSEM")
def test_the_end_of_a_thread_takes_back_nothing(sysv_sem, fork):
    """The threads of a process have their adjustments in common: not the end of one, but that of the process takes back."""
    semaphores = sysv_sem(values=[1])

    def life() -> int:
        thread = threading.Thread(target=semop, args=(semaphores.id, [(0, -1, SEM_UNDO)]))
        thread.start()
        thread.join()
        return semctl(semaphores.id, 0, GETVAL)

    assert fork(life).result() == 0
    assert semaphores.values == [1]


@clause("semundo.setval-clears", "semctl(2)", "SETVAL")
def test_a_value_that_is_set_stays(sysv_sem, holder):
    """SETVAL clears what all processes would have taken back on that semaphore, and on no other."""
    semaphores = sysv_sem(2, values=[1, 1])
    holders = [holder(semaphores, (0, 1, SEM_UNDO), (1, 1, SEM_UNDO)) for _ in range(2)]
    semaphores.set_value(7, 0)
    for held in holders:
        held.leave()
    assert semaphores.values == [7, 1]


@clause("semundo.setall-clears", "semctl(2)", "SETALL")
def test_values_that_are_set_stay(sysv_sem, holder):
    """SETALL clears what all processes would have taken back on any semaphore of the set."""
    semaphores = sysv_sem(2, values=[1, 1])
    holders = [holder(semaphores, (0, 1, SEM_UNDO), (1, 1, SEM_UNDO)) for _ in range(2)]
    semaphores.values = [7, 8]
    for held in holders:
        held.leave()
    assert semaphores.values == [7, 8]


@clause("semundo.sempid-of-dead", "semctl(2)", "The sempid value")
def test_who_took_it_back_is_on_record(sysv_sem, holder):
    """What a process takes back at its end is on record as done by it."""
    semaphores = sysv_sem(2, values=[1, 1])
    held = holder(semaphores, (0, -1, SEM_UNDO))
    semaphores.release(0)
    assert semaphores.last_pid(0) == os.getpid()
    held.leave()
    assert (semaphores.last_pid(0), semaphores.last_pid(1)) == (held.actor.pid, os.getpid())


@clause("semundo.rmid-drops", "semctl(2)", "IPC_RMID")
def test_nothing_is_taken_back_from_a_set_that_is_gone(sysv_sem, holder):
    """Removing a set ends what was to be taken back there: who ends later ends as ever, and the key's next set is left alone."""
    semaphores = sysv_sem(values=[1])
    held = holder(semaphores, (0, -1, SEM_UNDO))
    semaphores.remove()
    other = sysv_sem(key=semaphores.key, values=[3])
    held.leave()
    assert other.values == [3]
