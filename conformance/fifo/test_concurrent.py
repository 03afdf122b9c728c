"""Clauses that run the workloads of concurrent.py in several processes and threads."""

from __future__ import annotations

import pytest

from pytest_ipc import clause


@pytest.mark.usefixtures("whole_pipes")
@clause("fifo.concurrent", "fifo(7)", "DESCRIPTION")
def test_concurrent_use(linearizable, machines):
    """Under concurrent use, read() returns 0 after the last writer and
    write() fails after the last reader, even if processes are killed.
    """
    linearizable(machines.Fifo())
