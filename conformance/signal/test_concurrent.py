"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("signal.concurrent", "signal(7)", "Queueing and delivery semantics for standard signals, Real-time signals")
def test_concurrent_signals_are_taken_once_in_order(linearizable, machines):
    """Under concurrency no queued signal is lost or taken twice, the lowest number comes first and of one number the
    oldest, and a standard signal pends once.
    """
    linearizable(machines.Pending())
