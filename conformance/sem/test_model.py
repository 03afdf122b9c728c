"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("sem.model", "semop(2)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """Semaphores change, all of a call or none, as a model in plain Python says, whoever does what in whatever order."""
    agree(lambda: machines.Semaphores(*two_peers))


@clause("semop.sempid-model", "semctl(2)", "The sempid value", since="4.6")
def test_the_model_of_who_it_was(agree, machines, two_peers):
    """The last process to operate on a semaphore is told as a model in plain Python has it."""
    agree(lambda: machines.Signed(*two_peers))


@clause("semundo.model", "semop(2)", "DESCRIPTION")
def test_the_model_with_adjustments(agree, machines):
    """The end of a process takes back what it did with SEM_UNDO, as a model in plain Python says, whatever was done in between."""
    agree(machines.Undone, histories=8)
