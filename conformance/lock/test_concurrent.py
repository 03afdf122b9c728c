"""Clauses that run the workloads of concurrent.py in several processes and threads."""

from __future__ import annotations

import pytest

from pytest_ipc import clause


@clause("fcntl.concurrent-record-locks", "fcntl_locking(2)", "Advisory record locking")
def test_concurrent_record_locks(linearizable, machines):
    """Concurrent processes never hold conflicting record locks,
    acquire them when they are released, and detect deadlocks.
    """
    linearizable(machines.RecordLocks())


@pytest.mark.usefixtures("ofd_locks")
@clause("fcntl.concurrent-ofd-locks", "fcntl_locking(2)", "Open file description locks (non-POSIX)")
def test_concurrent_description_locks(linearizable, machines):
    """Concurrent open file descriptions never hold conflicting locks, and those of killed processes are released."""
    linearizable(machines.DescriptionLocks())


@clause("flock.concurrent", "flock(2)", "DESCRIPTION")
def test_concurrent_file_locks(linearizable, machines):
    """Concurrent flock() grants no conflicting locks, and a conversion can lose the lock to another caller."""
    linearizable(machines.WholeFile())


@pytest.mark.usefixtures("leases")
@clause("lease.concurrent", "F_GETLEASE(2const)", "F_SETLEASE")
def test_concurrent_leases(linearizable, machines):
    """Concurrent processes hold at most one write lease, and only while no other has the file open."""
    linearizable(machines.Leases())
