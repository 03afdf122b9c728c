"""Clauses: the state machines of model.py, compared with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("signal.model", "signal(7)", "DESCRIPTION")
def test_agrees_with_model(agree, machines, two_workers):
    """For every sequence of calls, signals pend, queue and are taken as in a model in plain Python."""
    worker = two_workers[0]
    worker.do(machines.block)
    agree(lambda: machines.Pending(worker))
