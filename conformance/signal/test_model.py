"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("signal.model", "signal(7)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """Signals pend, queue and are taken as a model in plain Python says, whatever is sent in whatever order."""
    peer = two_peers[0]
    peer.do(machines.block)
    agree(lambda: machines.Pending(peer))
