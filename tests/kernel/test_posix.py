"""Calls on POSIX semaphores and queues: values beyond their C type and names with a NUL are refused before the call."""

from __future__ import annotations

import os
from collections.abc import Callable
from ctypes import c_int
from errno import EINVAL, ENOSYS
from typing import Any

import pytest

from pytest_ipc.kernel import (
    SEM_BYTES,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    MqAttr,
    Timespec,
    libc,
    mq_getattr,
    mq_notify,
    mq_open,
    mq_receive,
    mq_send,
    mq_setattr,
    mq_timedreceive,
    mq_timedsend,
    mq_unlink,
    sem_clockwait,
    sem_getvalue,
    sem_init,
    sem_open,
    sem_post,
    sem_timedwait,
    sem_unlink,
)

NOW = Timespec(1, 0)

OUT_OF_RANGE: dict[str, Callable[[], Any]] = {
    "sem_open flags": lambda: sem_open("/x", 1 << 31),
    "sem_open mode": lambda: sem_open("/x", 0, -1),
    "sem_open value": lambda: sem_open("/x", 0, 0, 1 << 32),
    "sem_post address": lambda: sem_post(1 << 64),
    "sem_post negative address": lambda: sem_post(-1),
    "sem_init pshared": lambda: sem_init(8, 1 << 31, 0),
    "sem_init value": lambda: sem_init(8, 0, -1),
    "sem_timedwait seconds": lambda: sem_timedwait(8, Timespec(1 << 63, 0)),
    "sem_timedwait nanoseconds": lambda: sem_timedwait(8, Timespec(0, -1 << 64)),
    "sem_clockwait clock": lambda: sem_clockwait(8, 1 << 31, NOW),
    "mq_open maxmsg": lambda: mq_open("/x", 0, 0, MqAttr(maxmsg=1 << 63)),
    "mq_open msgsize": lambda: mq_open("/x", 0, 0, MqAttr(msgsize=-1 << 64)),
    "mq_send descriptor": lambda: mq_send(1 << 31, b""),
    "mq_send priority": lambda: mq_send(1, b"", 1 << 32),
    "mq_send negative priority": lambda: mq_send(1, b"", -1),
    "mq_timedsend seconds": lambda: mq_timedsend(1, b"", 0, Timespec(1 << 63, 0)),
    "mq_receive size": lambda: mq_receive(1, 1 << 64),
    "mq_receive negative size": lambda: mq_receive(1, -1),
    "mq_timedreceive seconds": lambda: mq_timedreceive(1, 1, Timespec(-1 << 64, 0)),
    "mq_setattr flags": lambda: mq_setattr(1, MqAttr(flags=1 << 63)),
    "mq_notify signal": lambda: mq_notify(1, SIGEV_SIGNAL, 1 << 31),
    "mq_notify value": lambda: mq_notify(1, SIGEV_SIGNAL, 10, 1 << 31),
    "mq_notify function": lambda: mq_notify(1, SIGEV_THREAD, function=1 << 64),
    "mq_notify argument": lambda: mq_notify(1, SIGEV_THREAD, argument=-1),
}

OF_ANOTHER_TYPE: dict[str, Callable[[], Any]] = {
    "sem_open name": lambda: sem_open(5, 0),  # type: ignore[arg-type]
    "sem_open no name": lambda: sem_open(None, 0),  # type: ignore[arg-type]
    "sem_post address of text": lambda: sem_post("x"),  # type: ignore[arg-type]
    "sem_post no address": lambda: sem_post(None),  # type: ignore[arg-type]
    "sem_getvalue of bytes": lambda: sem_getvalue(b"x" * SEM_BYTES),  # type: ignore[arg-type]
    "mq_open name": lambda: mq_open(object(), 0),  # type: ignore[arg-type]
    "mq_send text": lambda: mq_send(1, "text"),  # type: ignore[arg-type]
    "mq_receive size": lambda: mq_receive(1, "8"),  # type: ignore[arg-type]
    "mq_getattr of text": lambda: mq_getattr("1"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", OUT_OF_RANGE)
def test_value_beyond_the_c_type_raises_overflow_error(call):
    with pytest.raises(OverflowError, match="the range of the C type"):
        OUT_OF_RANGE[call]()


@pytest.mark.parametrize("call", OF_ANOTHER_TYPE)
def test_wrong_type_raises_type_error(call):
    with pytest.raises(TypeError):
        OF_ANOTHER_TYPE[call]()


@pytest.mark.parametrize(
    "call",
    [lambda name: sem_open(name, 0), sem_unlink, lambda name: mq_open(name, 0), mq_unlink],
    ids=["sem_open", "sem_unlink", "mq_open", "mq_unlink"],
)
@pytest.mark.parametrize("name", ["/x\0y", b"/x\0"], ids=["text", "bytes"])
def test_name_with_a_nul_raises_value_error(call, name):
    with pytest.raises(ValueError, match="must not contain a NUL"):
        call(name)


def test_names_may_be_bytes(posix_sem, posix_mq):
    semaphore, queue = posix_sem(), posix_mq(maxmsg=1, msgsize=8)
    sem_unlink(os.fsencode(semaphore.name))
    mq_unlink(os.fsencode(queue.name))
    assert not semaphore.unlink()
    assert not queue.unlink()


def test_function_missing_in_libc_fails_with_enosys_when_called():
    missing = libc.function("sem_no_such_call", c_int)
    with pytest.raises(OSError, match="this libc has no such function") as caught:
        missing()
    assert caught.value.errno == ENOSYS


def test_os_error_names_the_call():
    with pytest.raises(OSError, match=r"^\[Errno 22\] sem_open: Invalid argument$") as caught:
        sem_open("/", os.O_CREAT)
    assert caught.value.errno == EINVAL
