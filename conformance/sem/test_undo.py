"""semop(2): SEM_UNDO, and the undoing of operations at the end of a process."""

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
    """A child that has performed its operations and waits at a gate before it exits."""

    child: Child[Any]
    gate: Pipe

    def leave(self) -> None:
        """Open the gate and wait for the child to exit."""
        self.gate.write(b"!")
        assert self.child.wait() == 0


@pytest.fixture
def holder(fork: Fork, pipe: Callable[..., Pipe]) -> Callable[..., Holder]:
    """Start a holder: holder(semaphores, (num, op, SEM_UNDO), ...)."""

    def start(semaphores: SemaphoreSet, *operations: tuple[int, ...]) -> Holder:
        gate = pipe()

        def life() -> None:
            semop(semaphores.id, operations)
            gate.read(1, timeout=None)

        child = fork(life)
        child.wait_blocked("read")
        return Holder(child, gate)

    return start


@clause("semundo.exit-restores", "semop(2)", "DESCRIPTION")
def test_exit_undoes_operations(sysv_sem, holder):
    """Operations with SEM_UNDO, positive and negative, are undone when the process exits, and not before."""
    semaphores = sysv_sem(2, values=[1, 4])
    held = holder(semaphores, (0, -1, SEM_UNDO), (1, 3, SEM_UNDO))
    assert semaphores.values == [0, 7]
    held.leave()
    assert semaphores.values == [1, 4]


@clause("semundo.sigkill-restores", "semop(2)", "DESCRIPTION")
def test_sigkill_undoes_operations(sysv_sem, holder):
    """Operations with SEM_UNDO are undone when SIGKILL terminates the process."""
    semaphores = sysv_sem(values=[1])
    held = holder(semaphores, (0, -1, SEM_UNDO))
    assert semaphores.values == [0]
    held.child.signal(SIGKILL)
    assert held.child.wait() == -signal.SIGKILL
    assert semaphores.values == [1]


@clause("semundo.without-flag-stays", "semop(2)", "DESCRIPTION")
def test_operations_without_sem_undo_stay(sysv_sem, holder):
    """Operations without SEM_UNDO are not undone when the process exits."""
    semaphores = sysv_sem(2, values=[1, 4])
    holder(semaphores, (0, -1), (1, 3)).leave()
    assert semaphores.values == [0, 7]


@clause("semundo.wakes-waiters", "semop(2)", "NOTES")
def test_undoing_wakes_waiting_processes(sysv_sem, holder, waiting):
    """The undoing at the end of a process wakes processes that wait in semop() for an increase or for zero."""
    semaphores = sysv_sem(2, values=[1, 0])
    held = holder(semaphores, (0, -1, SEM_UNDO), (1, 1, SEM_UNDO))
    taker, waiter = waiting(semaphores, (0, -1)), waiting(semaphores, (1, 0))
    held.child.signal(SIGKILL)
    assert (taker.result(), waiter.result()) == (0, 0)
    assert semaphores.values == [0, 0]


@clause("semundo.sum-of-ops", "semop(2)", "NOTES")
def test_sum_of_operations_is_undone(sysv_sem, holder):
    """At the end of a process the sum of its SEM_UNDO operations on each semaphore, and of no others, is undone."""
    semaphores = sysv_sem(2, values=[2, 9])
    held = holder(semaphores, (0, 3, SEM_UNDO), (0, -1, SEM_UNDO), (0, 5), (1, -4), (1, -2, SEM_UNDO))
    assert semaphores.values == [9, 3]
    held.leave()
    assert semaphores.values == [7, 5]


@clause("semundo.of-each-process", "semop(2)", "NOTES")
def test_each_process_undoes_its_own_operations(sysv_sem, holder):
    """The end of a process undoes only its own SEM_UNDO operations."""
    semaphores = sysv_sem(values=[10])
    first, second = holder(semaphores, (0, -1, SEM_UNDO)), holder(semaphores, (0, -4, SEM_UNDO))
    assert semaphores.values == [5]
    first.leave()
    assert semaphores.values == [6]
    second.leave()
    assert semaphores.values == [10]


@clause("semundo.clamp-zero", "semop(2)", "BUGS")
def test_undoing_stops_at_zero(sysv_sem, holder):
    """If undoing would make a value negative, the value becomes 0, and the process exits without waiting."""
    semaphores = sysv_sem(2, values=[0, 1])
    held = holder(semaphores, (0, 3, SEM_UNDO), (1, -1, SEM_UNDO))
    semop(semaphores.id, [(0, -2)])
    held.leave()
    assert semaphores.values == [0, 1]


@clause("semundo.failed-op-leaves-none", "semop(2)", "DESCRIPTION")
def test_failed_semop_leaves_no_adjustment(sysv_sem, fork):
    """A semop() that fails leaves no adjustment to undo."""
    semaphores = sysv_sem(2, values=[5, 0])

    def fail() -> None:
        with pytest.raises(BlockingIOError):
            semop(semaphores.id, [(0, -1, SEM_UNDO), (1, -1, SEM_UNDO | IPC_NOWAIT)])

    fork(fail).result()
    assert semaphores.values == [5, 0]


@clause("semundo.not-inherited-fork", "fork(2)", "DESCRIPTION")
def test_fork_does_not_inherit_adjustments(sysv_sem, fork):
    """After fork() the child has no semaphore adjustments: its exit undoes nothing, the parent's exit does."""
    semaphores = sysv_sem(values=[1])

    def life() -> int:
        semop(semaphores.id, [(0, -1, SEM_UNDO)])
        fork(int).result()
        return semctl(semaphores.id, 0, GETVAL)

    assert fork(life).result() == 0
    assert semaphores.values == [1]


@clause("semundo.kept-exec", "semop(2)", "NOTES")
def test_execve_keeps_adjustments(sysv_sem, fork):
    """Semaphore adjustments persist across execve(): the operations are undone when the new program exits."""
    semaphores = sysv_sem(values=[1])
    source = "import sys, pytest_ipc.kernel as ipc; sys.exit(40 + ipc.semctl(int(sys.argv[1]), 0, ipc.GETVAL))"

    def life() -> None:
        semop(semaphores.id, [(0, -1, SEM_UNDO)])
        os.execv(sys.executable, [sys.executable, "-P", "-c", source, str(semaphores.id)])

    child = fork(life)
    assert child.wait(timeout=60) == 40, child.output
    assert semaphores.values == [1]


@clause("semundo.thread-exit-no-undo", "clone(2)", "CLONE_SYSVSEM")
def test_thread_exit_undoes_nothing(sysv_sem, fork):
    """The threads of a process share their semaphore adjustments: the exit of the process undoes them, that of a
    thread does not.
    """
    semaphores = sysv_sem(values=[1])

    def life() -> int:
        thread = threading.Thread(target=semop, args=(semaphores.id, [(0, -1, SEM_UNDO)]))
        thread.start()
        thread.join()
        return semctl(semaphores.id, 0, GETVAL)

    assert fork(life).result() == 0
    assert semaphores.values == [1]


@clause("semundo.setval-clears", "semctl(2)", "SETVAL")
def test_setval_clears_adjustments(sysv_sem, holder):
    """SETVAL clears the adjustments of all processes for that semaphore, and for no other."""
    semaphores = sysv_sem(2, values=[1, 1])
    holders = [holder(semaphores, (0, 1, SEM_UNDO), (1, 1, SEM_UNDO)) for _ in range(2)]
    semaphores.set_value(7, 0)
    for held in holders:
        held.leave()
    assert semaphores.values == [7, 1]


@clause("semundo.setall-clears", "semctl(2)", "SETALL")
def test_setall_clears_adjustments(sysv_sem, holder):
    """SETALL clears the adjustments of all processes for every semaphore of the set."""
    semaphores = sysv_sem(2, values=[1, 1])
    holders = [holder(semaphores, (0, 1, SEM_UNDO), (1, 1, SEM_UNDO)) for _ in range(2)]
    semaphores.values = [7, 8]
    for held in holders:
        held.leave()
    assert semaphores.values == [7, 8]


@clause("semundo.sempid-of-dead", "semctl(2)", "The sempid value")
def test_undoing_sets_sempid(sysv_sem, holder):
    """The undoing at the end of a process sets sempid of the semaphore to that process."""
    semaphores = sysv_sem(2, values=[1, 1])
    held = holder(semaphores, (0, -1, SEM_UNDO))
    semaphores.release(0)
    assert semaphores.last_pid(0) == os.getpid()
    held.leave()
    assert (semaphores.last_pid(0), semaphores.last_pid(1)) == (held.child.pid, os.getpid())


@clause("semundo.rmid-drops", "semctl(2)", "IPC_RMID")
def test_ipc_rmid_drops_adjustments(sysv_sem, holder):
    """IPC_RMID drops the adjustments of all processes for the set: they exit normally, and a new set with the same
    key is unaffected.
    """
    semaphores = sysv_sem(values=[1])
    held = holder(semaphores, (0, -1, SEM_UNDO))
    semaphores.remove()
    other = sysv_sem(key=semaphores.key, values=[3])
    held.leave()
    assert other.values == [3]
