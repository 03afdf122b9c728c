"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("signal.concurrent", "signal(7)", "Queueing and delivery semantics for standard signals, Real-time signals")
def test_concurrent_signals(linearizable, machines):
    """No queued signal is lost or taken twice, they come by number and age, and a standard signal pends once, whoever sends."""
    linearizable(machines.Pending())
