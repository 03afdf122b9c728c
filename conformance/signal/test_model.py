"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("signal.model", "signal(7)", "DESCRIPTION")
def test_agrees_with_model(agree, machines, two_peers):
    """For every sequence of calls, signals pend, queue and are taken as in a model in plain Python."""
    peer = two_peers[0]
    peer.do(machines.block)
    agree(lambda: machines.Pending(peer))
