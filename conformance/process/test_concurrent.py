"""Clauses: the workloads of concurrent.py, in histories of several threads and processes."""

from __future__ import annotations

from pytest_ipc import clause


@clause("wait.concurrent", "wait(2)", "DESCRIPTION")
def test_concurrent_waits(linearizable, machines):
    """Each child that has ended is reaped once, by one of the threads of its parent that wait at once."""
    linearizable(machines.Children())
