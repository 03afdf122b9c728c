"""Clauses: the machines of shm_model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("shm_open.model", "shm_overview(7)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """Two processes see of shared memory objects what a model in plain Python says, whatever they do with them in what order."""
    agree(lambda: machines.Shared(*two_peers))
