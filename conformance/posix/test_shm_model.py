"""Clauses that compare the state machine of shm_model.py with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("shm_open.model", "shm_overview(7)", "DESCRIPTION")
def test_the_model(agree, machines, two_workers):
    """Shared memory objects of two processes agree with a model in Python for random sequences of calls."""
    agree(lambda: machines.Shared(*two_workers))
