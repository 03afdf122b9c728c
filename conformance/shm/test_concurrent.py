"""Clauses: the workloads of concurrent.py, in histories of several processes."""

from __future__ import annotations

import pytest

from pytest_ipc import Need, clause, untested
from pytest_ipc.kernel import limit_fields


@pytest.fixture
def removal_by_request() -> None:
    """Segments that stay when the last process detaches them, until one removes them (proc_sys_kernel(5))."""
    if limit_fields("kernel/shm_rmid_forced") == [1]:
        untested(Need.MACHINE_LIMITS, "kernel.shm_rmid_forced is 1: segments are removed at their last detach")


@pytest.mark.usefixtures("removal_by_request")
@clause("shm.concurrent", "shmget(2)", "DESCRIPTION")
def test_concurrent_segments(linearizable, machines):
    """Among concurrent processes one creates a segment with IPC_CREAT | IPC_EXCL, one removes it, and shm_nattch counts
    the attachments.
    """
    linearizable(machines.Segments())
