"""Clauses: the state machines of model.py, compared with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("unix.model", "unix(7)", "DESCRIPTION")
def test_agrees_with_model(agree, machines):
    """For every sequence of calls, messages and descriptors pass through a UNIX socket pair as in a model in plain
    Python.
    """
    agree(machines.Pair)
