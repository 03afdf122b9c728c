"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("msg.concurrent", "msgop(2)", "DESCRIPTION")
def test_concurrent_calls(linearizable, machines):
    """Messages that several processes and threads send and receive at once come out as if one call were made after another."""
    linearizable(machines.Queue())
