"""Clauses: the machines of mq_model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("mq.model", "mq_overview(7)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """Messages come by priority and age, and queues by name, as a model in plain Python says, whoever does what in whatever order."""
    agree(lambda: machines.Queues(*two_peers))
