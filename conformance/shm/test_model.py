"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("shm.model", "shmop(2)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """Two processes see of segments what a model in plain Python says, whatever they do with them and in whatever order."""
    agree(lambda: machines.SharedMemory(*two_peers))
