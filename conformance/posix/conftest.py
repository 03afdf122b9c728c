"""What clauses about POSIX objects share: names for what a test makes itself, descriptors that are closed with it, a mount."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, End, Fork, Ipc, PosixQueue, untested
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
    """Names for shared memory that a test makes by the call itself: names(), a new one. What has one at the end goes."""
    return lambda length=0: ReservedName.shm(ipc_scope.scope, length).name


@pytest.fixture
def opened(ipc_scope: Ipc) -> Callable[..., int]:
    """Open shared memory by the call itself: opened(name, flags, mode), a descriptor that is closed with the test."""

    def call(name: str | bytes, flags: int, mode: int = 0o600) -> int:
        return End(shm_open(name, flags, mode), os.fsdecode(name), ipc_scope.scope).fd

    return call


@pytest.fixture
def sem_name(ipc_scope: Ipc) -> str:
    """A name that no semaphore has yet. What gets it in the test loses it at the end."""
    return ReservedName.sem(ipc_scope.scope).name


@pytest.fixture
def mq_name(ipc_scope: Ipc) -> str:
    """A name that no queue has yet. What gets it in the test loses it at the end."""
    return ReservedName.mq(ipc_scope.scope).name


@pytest.fixture
def opened_sem() -> Iterator[Callable[..., int]]:
    """sem_open(3), closed with the test."""
    with ExitStack() as ends:

        def open_one(*arguments: Any) -> int:
            address = sem_open(*arguments)
            ends.callback(sem_close, address)
            return address

        yield open_one


@pytest.fixture
def opened_mq() -> Iterator[Callable[..., int]]:
    """mq_open(3), closed with the test."""
    with ExitStack() as ends:

        def open_one(*arguments: Any) -> int:
            fd = mq_open(*arguments)
            ends.callback(mq_close, fd)
            return fd

        yield open_one


@pytest.fixture
def queue(posix_mq: Callable[..., PosixQueue]) -> PosixQueue:
    """A queue with room for two messages of up to eight bytes."""
    return posix_mq(maxmsg=2, msgsize=8)


@pytest.fixture
def full(queue: PosixQueue) -> PosixQueue:
    """The same with no room left."""
    queue.send(b"first")
    queue.send(b"second")
    return queue


@pytest.fixture
def in_queue_folder(in_ipc_namespace: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run a function where the message queues of a namespace of its own are files: in_queue_folder(function), its result.

    The function gets the folder, which nobody but its process sees.
    """

    def run(function: Callable[[Path], Any]) -> Any:
        def life() -> Any:
            try:
                unshare(CLONE_NEWNS)
                mount(None, "/", None, MS_REC | MS_SLAVE)
                mount("mqueue", tmp_path, "mqueue")
            except OSError as error:
                untested(f"needs to mount the file system of message queues, CAP_SYS_ADMIN: {error.strerror}")
            return function(tmp_path)

        return in_ipc_namespace({}, life)

    return run


def as_ordinary_user() -> None:
    """Make this process, a child, one without capabilities, if it has any."""
    if capabilities() != 0:
        become(STRANGER, GROUP)


def may_make_semaphores() -> None:
    """Untested where this process, a child that has become another user, may make no files in /dev/shm."""
    if not os.access("/dev/shm", os.W_OK):
        untested("needs a /dev/shm in which every user may make files")


def has_resource_capability() -> bool:
    """Whether this process has CAP_SYS_RESOURCE for the limits of queues: in the first user namespace, and in no other."""
    if not (capabilities() or 0) & _CAP_SYS_RESOURCE:
        return False
    with open("/proc/self/uid_map") as ids:
        return ids.read().split() == ["0", "0", _ALL_IDS]


def without_resource_capability() -> None:
    """Take from this process, a child, the capability that passes over the limits of queues."""
    if has_resource_capability():
        become(STRANGER, GROUP)


def file_of(name: str) -> Path:
    """The file of a named semaphore. Untested where there is no such file."""
    try:
        return Path(path_of(name))
    except FileNotFoundError:
        untested("needs semaphores that are files in /dev/shm")


@pytest.fixture
def pshared(fork: Fork) -> Callable[..., None]:
    """Make two process-shared semaphores at an address, and see that a program answers through them."""

    def run(address: int, program: Callable[..., Child[Any]], source: str, *arguments: object) -> None:
        there, back = address + SEM_BYTES, address
        for place in (there, back):
            sem_init(place, 1, 0)
        answering = program(source, *arguments)
        # A program that never posts must not keep this process, so one waits that can be ended.
        fork(sem_wait, back).result(TO_START)
        answering.wait_blocked("futex")
        sem_post(there)
        succeeded(answering)

    return run
