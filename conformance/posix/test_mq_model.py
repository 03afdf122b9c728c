"""Clauses that compare the state machine of mq_model.py with the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("mq.model", "mq_overview(7)", "DESCRIPTION")
def test_the_model(agree, machines, two_workers):
    """mq_open(), mq_send(), mq_receive() and mq_unlink() agree with a model in Python for random sequences of calls."""
    agree(lambda: machines.Queues(*two_workers))
