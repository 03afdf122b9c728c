"""Clauses that run the workloads of concurrent.py in several processes and threads."""

from __future__ import annotations

import pytest

from pytest_ipc import clause


@clause("mq.concurrent", "mq_overview(7)", "DESCRIPTION")
def test_concurrent_messages(linearizable, machines):
    """Concurrent mq_send() and mq_receive() deliver messages by priority and age, as in some sequential order."""
    linearizable(machines.PosixQueue())


@pytest.mark.usefixtures("sigpending_limit")
@clause("mq_notify.concurrent", "mq_notify(3)", "DESCRIPTION")
def test_concurrent_notification(linearizable, machines):
    """Under concurrent use, only one process is registered with mq_notify(), and it is notified once."""
    linearizable(machines.Notified())


@clause("posix_sem.concurrent", "sem_overview(7)", "DESCRIPTION")
def test_concurrent_semaphore(linearizable, machines):
    """Concurrent sem_post() and sem_wait() never take the value below zero and lose no post."""
    linearizable(machines.PosixSemaphore())


@clause("shm_open.concurrent", "shm_open(3)", "DESCRIPTION")
def test_concurrent_names(linearizable, machines):
    """Of concurrent shm_open() with O_CREAT | O_EXCL for one name one succeeds, and of concurrent shm_unlink() one."""
    linearizable(machines.Names())
