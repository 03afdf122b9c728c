"""Clauses: the state machines of model.py, compared with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("sem.model", "semop(2)", "DESCRIPTION")
def test_agrees_with_model(agree, machines, two_workers):
    """For every sequence of calls by two processes, semaphore values change as in a model in plain Python, each
    semop() wholly or not at all.
    """
    agree(lambda: machines.Semaphores(*two_workers))


@clause("semop.sempid-model", "semctl(2)", "The sempid value", since="4.6")
def test_sempid_agrees_with_model(agree, machines, two_workers):
    """For every sequence of calls by two processes, GETPID returns the last process to operate on a semaphore, as in
    a model.
    """
    agree(lambda: machines.WithSempid(*two_workers))


@clause("semundo.model", "semop(2)", "DESCRIPTION")
def test_sem_undo_agrees_with_model(agree, machines):
    """For every sequence of calls, the end of a process undoes its SEM_UNDO operations as in a model in plain
    Python.
    """
    agree(machines.Undone, histories=8)
