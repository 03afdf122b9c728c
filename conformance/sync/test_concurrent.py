"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("eventfd.concurrent", "eventfd(2)", "DESCRIPTION")
def test_concurrent_counter(linearizable, machines):
    """What several processes and threads write to a counter at once is read once, in one piece or one by one."""
    linearizable(machines.Counter())


@clause("futex.concurrent", "FUTEX_WAIT(2const)", "DESCRIPTION")
def test_concurrent_waits(linearizable, machines):
    """Waits and wakes at once lose no wake-up and invent none, and a wait begins only while the word has its value."""
    linearizable(machines.Futex())
