"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("sem.concurrent", "semop(2)", "DESCRIPTION")
def test_concurrent_operations(linearizable, machines):
    """Sets of operations that several processes and threads do at once are done as if one set had been done after another."""
    linearizable(machines.Semaphores())


@clause("sem.concurrent-undo", "semop(2)", "DESCRIPTION")
def test_concurrent_operations_that_are_undone(linearizable, machines):
    """When a process is killed at any moment, its SEM_UNDO operations are undone at one moment, and nobody else's are."""
    linearizable(machines.Undone())
