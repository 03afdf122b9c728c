"""Fixtures of the clauses about POSIX objects: unused names, descriptors closed with the test, a mount of mqueue."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, End, Fork, Ipc, Need, PosixQueue, untested
from pytest_ipc.custody.kinds.posix_sem import path_of
from pytest_ipc.kernel import (
    CLONE_NEWNS,
    MS_REC,
    MS_SLAVE,
    SEM_BYTES,
    capabilities,
    mount,
    mq_close,
    mq_open,
    sem_close,
    sem_init,
    sem_open,
    sem_post,
    sem_wait,
    shm_open,
    unshare,
)

from ..conftest import TO_START, succeeded
from ..credentials import GROUP, STRANGER, become
from ..on_record import ReservedName

_CAP_SYS_RESOURCE = 1 << 24
_ALL_IDS = "4294967295"


@pytest.fixture
def names(ipc_scope: Ipc) -> Callable[..., str]:
    """Return an unused name for shared memory: names(length=0). An object with this name is removed with the test."""
    return lambda length=0: ReservedName.shm(ipc_scope.scope, length).name


@pytest.fixture
def opened(ipc_scope: Ipc) -> Callable[..., int]:
    """Call shm_open(3): opened(name, flags, mode=0o600) -> descriptor, closed with the test."""

    def call(name: str | bytes, flags: int, mode: int = 0o600) -> int:
        return End(shm_open(name, flags, mode), os.fsdecode(name), ipc_scope.scope).fd

    return call


@pytest.fixture
def sem_name(ipc_scope: Ipc) -> str:
    """Return an unused name for a semaphore, which is removed with the test."""
    return ReservedName.sem(ipc_scope.scope).name


@pytest.fixture
def mq_name(ipc_scope: Ipc) -> str:
    """Return an unused name for a message queue, which is removed with the test."""
    return ReservedName.mq(ipc_scope.scope).name


@pytest.fixture
def opened_sem() -> Iterator[Callable[..., int]]:
    """Call sem_open(3); the semaphore is closed with the test."""
    with ExitStack() as ends:

        def open_one(*arguments: Any) -> int:
            address = sem_open(*arguments)
            ends.callback(sem_close, address)
            return address

        yield open_one


@pytest.fixture
def opened_mq() -> Iterator[Callable[..., int]]:
    """Call mq_open(3); the queue is closed with the test."""
    with ExitStack() as ends:

        def open_one(*arguments: Any) -> int:
            fd = mq_open(*arguments)
            ends.callback(mq_close, fd)
            return fd

        yield open_one


@pytest.fixture
def queue(posix_mq: Callable[..., PosixQueue]) -> PosixQueue:
    """Create a queue with a capacity of two messages of up to eight bytes."""
    return posix_mq(maxmsg=2, msgsize=8)


@pytest.fixture
def full(queue: PosixQueue) -> PosixQueue:
    """Return the same queue filled with two messages."""
    queue.send(b"first")
    queue.send(b"second")
    return queue


@pytest.fixture
def in_queue_folder(in_ipc_namespace: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run function(folder) in a new IPC namespace whose message queues are mounted at the folder; return its result.

    No other process sees the mount.
    """

    def run(function: Callable[[Path], Any]) -> Any:
        def child() -> Any:
            try:
                unshare(CLONE_NEWNS)
                mount(None, "/", None, MS_REC | MS_SLAVE)
                mount("mqueue", tmp_path, "mqueue")
            except OSError as error:
                untested(
                    Need.MOUNTS, f"needs to mount the file system of message queues, CAP_SYS_ADMIN: {error.strerror}"
                )
            return function(tmp_path)

        return in_ipc_namespace({}, child)

    return run


def as_ordinary_user() -> None:
    """Drop all capabilities of this child, if it has any, by becoming another user."""
    if capabilities() != 0:
        become(STRANGER, GROUP)


def may_make_semaphores() -> None:
    """Require, in a child that has become another user, permission to create files in /dev/shm."""
    if not os.access("/dev/shm", os.W_OK):
        untested(Need.SHARED_MEMORY_FILES, "needs a /dev/shm in which every user may make files")


def has_resource_capability() -> bool:
    """Return whether this process has CAP_SYS_RESOURCE for the limits of queues: in the initial user namespace."""
    if not (capabilities() or 0) & _CAP_SYS_RESOURCE:
        return False
    with open("/proc/self/uid_map") as ids:
        return ids.read().split() == ["0", "0", _ALL_IDS]


def without_resource_capability() -> None:
    """Drop CAP_SYS_RESOURCE, which overrides the limits of queues, from this child."""
    if has_resource_capability():
        become(STRANGER, GROUP)


def file_of(name: str) -> Path:
    """Return the file of a named semaphore; untested if the semaphore is not a file in /dev/shm."""
    try:
        return Path(path_of(name))
    except FileNotFoundError:
        untested(Need.SHARED_MEMORY_FILES, "needs semaphores that are files in /dev/shm")


@pytest.fixture
def pshared(fork: Fork) -> Callable[..., None]:
    """Create two process-shared semaphores at an address, and check that a program replies through them."""

    def run(address: int, program: Callable[..., Child[Any]], source: str, *arguments: object) -> None:
        request, reply = address + SEM_BYTES, address
        for place in (request, reply):
            sem_init(place, 1, 0)
        replier = program(source, *arguments)
        # The wait is done in a child, which can be ended if the program never posts.
        fork(sem_wait, reply).result(timeout=TO_START)
        replier.wait_blocked("futex")
        sem_post(request)
        succeeded(replier)

    return run
