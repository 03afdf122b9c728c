"""An error of a call that ran into a limit has the limit's name and value."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator

import pytest

from pytest_ipc import Ipc, Limit, limits
from pytest_ipc.kernel import SCM_MAX_FD
from pytest_ipc.resources.limit_notes import note_limits

CASES: dict[str, tuple[Callable[[Ipc], object], int, str]] = {
    "segment": (
        lambda ipc: ipc.sysv_shm((1 << 64) - 1),
        errno.EINVAL,
        "kernel.shmmax is {kernel.shmmax} (bytes; shmget(2))",
    ),
    "set": (
        lambda ipc: ipc.sysv_sem((1 << 31) - 1),
        errno.EINVAL,
        "kernel.sem.semmsl is {kernel.sem.semmsl} (semaphores of a set; semget(2))",
    ),
    "first value": (
        lambda ipc: ipc.sysv_sem(values=[32768]),
        errno.ERANGE,
        "the value of a semaphore must be from 0 to 32767 (SEMVMX)",
    ),
    "value": (
        lambda ipc: ipc.sysv_sem().set_value(32768),
        errno.ERANGE,
        "the value of a semaphore must be from 0 to 32767 (SEMVMX)",
    ),
    "release": (
        lambda ipc: ipc.sysv_sem(values=[32767]).release(),
        errno.ERANGE,
        "the value of a semaphore must be from 0 to 32767 (SEMVMX)",
    ),
    "number": (lambda ipc: ipc.sysv_sem(2).value(2), errno.EINVAL, "have the numbers 0 to 1"),
    "number of an operation": (lambda ipc: ipc.sysv_sem(2).acquire(2), errno.EFBIG, "have the numbers 0 to 1"),
    "operations": (
        lambda ipc: ipc.sysv_sem().op(*[(0, 1)] * 100_000),
        errno.E2BIG,
        "kernel.sem.semopm is {kernel.sem.semopm} (operations of a call; semop(2))",
    ),
    "message": (
        lambda ipc: ipc.sysv_msg().send(bytes(int(limits()["kernel.msgmax"].value or 0) + 1)),
        errno.EINVAL,
        "kernel.msgmax is {kernel.msgmax} (bytes; msgop(2))",
    ),
    "type of a message": (
        lambda ipc: ipc.sysv_msg().send(b"", 0),
        errno.EINVAL,
        "the type of a message must be at least 1, not 0",
    ),
    "named semaphore": (
        lambda ipc: ipc.posix_sem(1 << 31),
        errno.EINVAL,
        "SEM_VALUE_MAX is {SEM_VALUE_MAX} (value; sem_overview(7))",
    ),
    "unnamed semaphore": (
        lambda ipc: ipc.posix_sem(1 << 31, shared=True),
        errno.EINVAL,
        "SEM_VALUE_MAX is {SEM_VALUE_MAX} (value; sem_overview(7))",
    ),
    "post": (
        lambda ipc: ipc.posix_sem((1 << 31) - 1).post(),
        errno.EOVERFLOW,
        "SEM_VALUE_MAX is {SEM_VALUE_MAX} (value; sem_overview(7))",
    ),
    "queue": (
        lambda ipc: ipc.posix_mq(maxmsg=1 << 30),
        errno.EINVAL,
        "fs.mqueue.msg_max is {fs.mqueue.msg_max} (messages; mq_overview(7))",
    ),
    "message of a queue": (
        lambda ipc: ipc.posix_mq(maxmsg=1, msgsize=8).send(bytes(9)),
        errno.EMSGSIZE,
        "message of 9 bytes exceeds the queue's mq_msgsize (8)",
    ),
    "priority": (
        lambda ipc: ipc.posix_mq(maxmsg=1, msgsize=8).send(b"", 32768),
        errno.EINVAL,
        "priority must be from 0 to 32767 (MQ_PRIO_MAX - 1), not 32768",
    ),
    "descriptors of a message": (
        lambda ipc: ipc.sockets.pair()[0].send(b"x", fds=[0] * (SCM_MAX_FD + 1)),
        errno.EINVAL,
        f"a message has at most {SCM_MAX_FD} descriptors (SCM_MAX_FD), not {SCM_MAX_FD + 1}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_has_the_limit(ipc, case):
    call, number, text = CASES[case]
    for name, limit in limits().items():
        text = text.replace(f"{{{name}}}", str(limit.value))
    with pytest.raises(OSError, match=r"^\[Errno ") as caught:
        call(ipc)
    assert caught.value.errno == number
    assert any(text in note for note in caught.value.__notes__), caught.value.__notes__


@pytest.fixture
def few_bytes_of_queues() -> Iterator[None]:
    before = resource.getrlimit(12)  # RLIMIT_MSGQUEUE
    resource.setrlimit(12, (0, before[1]))
    yield
    resource.setrlimit(12, before)


@pytest.mark.usefixtures("few_bytes_of_queues")
def test_the_bytes_of_queues(ipc):
    with pytest.raises(OSError, match="mq_open") as caught:
        ipc.posix_mq()
    assert caught.value.errno == errno.EMFILE
    assert "RLIMIT_MSGQUEUE is 0 (bytes; getrlimit(2))" in caught.value.__notes__


def test_a_limit_that_cannot_be_read_has_its_reason(monkeypatch):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(
        "pytest_ipc.resources.limit_notes.read_limit", lambda name: Limit(name, None, "sets", "file", "page", "no file")
    )
    note_limits(error, "kernel.sem.semmni")
    assert error.__notes__ == ["kernel.sem.semmni cannot be read: no file"]
