"""Clauses that run the workloads of concurrent.py in several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("msg.concurrent", "msgop(2)", "DESCRIPTION")
def test_concurrent_calls(linearizable, machines):
    """Concurrent msgsnd() and msgrcv() of several processes and threads have the results of some sequential order."""
    linearizable(machines.Queue())
