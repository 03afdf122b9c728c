"""Clauses: the workloads of concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

import pytest

from pytest_ipc import clause


@clause("mq.concurrent", "mq_overview(7)", "DESCRIPTION")
def test_concurrent_messages(linearizable, machines):
    """Messages sent to and received from a queue at once come by priority and age, as if one call were made after another."""
    linearizable(machines.PosixQueue())


@pytest.mark.usefixtures("room_for_signals")
@clause("mq_notify.concurrent", "mq_notify(3)", "DESCRIPTION")
def test_concurrent_notification(linearizable, machines):
    """Of several processes one is registered, and it is notified once, however many send, receive and register at once."""
    linearizable(machines.Notified())


@clause("posix_sem.concurrent", "sem_overview(7)", "DESCRIPTION")
def test_concurrent_semaphore(linearizable, machines):
    """A semaphore never falls below zero and loses no post, though several processes and threads post and wait at once."""
    linearizable(machines.PosixSemaphore())


@clause("shm_open.concurrent", "shm_open(3)", "DESCRIPTION")
def test_concurrent_names(linearizable, machines):
    """Of several processes that create a name with O_EXCL at once one succeeds, and one of those that unlink it."""
    linearizable(machines.Names())
