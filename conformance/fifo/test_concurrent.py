"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("fifo.concurrent", "fifo(7)", "DESCRIPTION")
def test_concurrent_use(linearizable, machines):
    """With the last writer readers come to the end of the one stream, and with the last reader writes fail, whoever is killed."""
    linearizable(machines.Fifo())
