"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from pytest_ipc import clause


@clause("eventfd.concurrent", "eventfd(2)", "DESCRIPTION")
def test_concurrent_eventfd_values_are_read_once(linearizable, machines):
    """Values that several processes and threads write to an eventfd concurrently are each read exactly once, summed
    or one by one.
    """
    linearizable(machines.Counter())


@clause("futex.concurrent", "FUTEX_WAIT(2const)", "DESCRIPTION")
def test_concurrent_futex_loses_no_wakeup(linearizable, machines):
    """Under concurrency futex() loses no wake-up and reports none that did not occur, and FUTEX_WAIT begins only
    while the word has the expected value.
    """
    linearizable(machines.Futex())
