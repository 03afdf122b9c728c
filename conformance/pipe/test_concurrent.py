"""Clauses that run the workloads of concurrent.py in several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("pipe.concurrent", "pipe(7)", "PIPE_BUF")
def test_concurrent_reads_and_writes(linearizable, machines):
    """Concurrent writes of at most PIPE_BUF bytes are not interleaved, and every byte is read once and in order."""
    linearizable(machines.SmallPipe())
