"""Clauses: the workloads of concurrent.py, in histories of several processes."""

from __future__ import annotations

from pytest_ipc import clause


@clause("shm.concurrent", "shmget(2)", "DESCRIPTION")
def test_concurrent_segments(linearizable, machines):
    """Among concurrent processes one creates a segment with IPC_CREAT | IPC_EXCL, one removes it, and shm_nattch counts
    the attachments.
    """
    linearizable(machines.Segments())
