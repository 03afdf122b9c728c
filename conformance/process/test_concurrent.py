"""Clauses: the workloads of concurrent.py, in histories of several threads and processes."""

from __future__ import annotations

from pytest_ipc import clause


@clause("wait.concurrent", "wait(2)", "DESCRIPTION")
def test_concurrent_waits_reap_each_child_once(linearizable, machines):
    """Each terminated child is reaped exactly once, by one of the threads of its parent that wait concurrently."""
    linearizable(machines.Children())
