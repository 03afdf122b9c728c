"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("sem.concurrent", "semop(2)", "DESCRIPTION")
def test_concurrent_semop_is_atomic(linearizable, machines):
    """Concurrent semop() calls of several processes and threads take effect as if each array were performed one
    after another.
    """
    linearizable(machines.Semaphores())


@clause("sem.concurrent-undo", "semop(2)", "DESCRIPTION")
def test_concurrent_sem_undo_of_killed_process(linearizable, machines):
    """If a process is killed at any moment, its SEM_UNDO operations, and no other operations, are undone in one
    step.
    """
    linearizable(machines.Undone())
