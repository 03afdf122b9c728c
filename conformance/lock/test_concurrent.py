"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("fcntl.concurrent-record-locks", "fcntl_locking(2)", "Advisory record locking")
def test_concurrent_record_locks(linearizable, machines):
    """No two processes hold conflicting locks at once, a wait ends with the lock that is in its way, and a deadlock is found."""
    linearizable(machines.RecordLocks())


@clause("fcntl.concurrent-ofd-locks", "fcntl_locking(2)", "Open file description locks (non-POSIX)")
def test_concurrent_description_locks(linearizable, machines):
    """No two open file descriptions hold conflicting locks at once, and those of a process that is killed are released."""
    linearizable(machines.DescriptionLocks())


@clause("flock.concurrent", "flock(2)", "DESCRIPTION")
def test_concurrent_file_locks(linearizable, machines):
    """An exclusive lock has one holder, a wait ends with the lock that is in its way, and a conversion may lose to another."""
    linearizable(machines.WholeFile())


@clause("lease.concurrent", "F_GETLEASE(2const)", "F_SETLEASE")
def test_concurrent_leases(linearizable, machines):
    """A write lease has one holder, who alone has the file open, however many open, close and take leases at once."""
    linearizable(machines.Leases())
