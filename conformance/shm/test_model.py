"""Clauses: the state machines of model.py, compared with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("shm.model", "shmop(2)", "DESCRIPTION")
def test_agrees_with_model(agree, machines, two_workers):
    """For every sequence of calls by two processes, shared memory segments behave as a model in plain Python does."""
    agree(lambda: machines.SharedMemory(*two_workers))
