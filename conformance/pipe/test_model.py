"""Clauses that compare the state machines of model.py with the kernel."""

from __future__ import annotations

from signal import SIGPIPE

from pytest_ipc import clause


@clause("pipe.model", "pipe(7)", "DESCRIPTION")
def test_the_model(agree, machines, signals):
    """read(), write() and close() of pipe ends agree with a model in Python for random sequences of calls."""
    signals.ignore(SIGPIPE)
    agree(machines.Pipes)
