"""Clauses that compare the state machine of model.py with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("mmap.model", "mmap(2)", "DESCRIPTION")
def test_the_model(agree, machines, two_workers):
    """Shared and private mappings of a file agree with a model in Python for random sequences of calls."""
    agree(lambda: machines.Files(*two_workers))
