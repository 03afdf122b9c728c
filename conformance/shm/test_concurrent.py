"""Clauses: the workloads of concurrent.py, in histories of several processes."""

from __future__ import annotations

from pytest_ipc import clause


@clause("shm.concurrent", "shmget(2)", "DESCRIPTION")
def test_concurrent_segments(linearizable, machines):
    """Of several processes one creates a segment with IPC_EXCL and one removes it, and shm_nattch counts who is attached."""
    linearizable(machines.Segments())
