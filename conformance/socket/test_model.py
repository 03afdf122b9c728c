"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("unix.model", "unix(7)", "DESCRIPTION")
def test_the_model(agree, machines):
    """Messages and descriptors go through a pair of sockets as a model in plain Python says, whatever its ends do in whatever order."""
    agree(machines.Pair)
