"""Fixtures of the namespace clauses: the namespace of this thread, its descriptor, and a child in another namespace."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import Child, Fork, Need, untested
from pytest_ipc.kernel import CLONE_NEWIPC, capget

from ..credentials import OTHER_GROUP, STRANGER, leave


def where(kind: str = "ipc") -> str:
    """Return the namespace of this thread, such as "ipc:[4026531839]"."""
    try:
        return os.readlink(f"/proc/thread-self/ns/{kind}")
    except OSError as error:
        untested(Need.PROC_FILES, f"needs /proc/thread-self/ns/{kind}: {error.strerror}")


def opened(kind: str = "ipc", process: object = "self") -> int:
    """Return a descriptor of a namespace, closed on exec."""
    try:
        return os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        untested(Need.PROC_FILES, f"needs /proc/{process}/ns/{kind}: {error.strerror}")


def in_a_thread(task: Callable[[], Any]) -> Any:
    """Run *task* in a new thread; return its result or raise its exception."""
    given: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            given.append(task())
        except BaseException as error:  # noqa: BLE001 - the boundary; it is raised below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return given[0]


@pytest.fixture
def besides_a_thread() -> Callable[[Callable[[], Any]], Any]:
    """Run a task in a process that has a second, waiting thread: besides_a_thread(task) -> result."""

    def run(task: Callable[[], Any]) -> Any:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            return task()
        finally:
            done.set()
            thread.join()

    return run


@pytest.fixture
def child_in_new_namespace(fork: Fork) -> Callable[[], Child[Any]]:
    """Start a child that waits in a new IPC namespace."""

    def start() -> Child[Any]:
        def in_child() -> None:
            leave(CLONE_NEWIPC)
            signal.pause()

        child = fork(in_child)
        child.wait_blocked("pause")
        return child

    return start


@pytest.fixture
def in_a_child(fork: Fork) -> Callable[..., Any]:
    """Run a function in a child, as its effect cannot be undone: in_a_child(function, *args) -> result."""

    def run(function: Callable[..., Any], *args: Any) -> Any:
        return fork(function, *args).result()

    return run


@pytest.fixture
def unprivileged(fork: Fork, as_user: Callable[..., Any]) -> Callable[[Callable[[], Any]], Any]:
    """Run a function in a child without capabilities, as another
    user if this one is privileged: unprivileged(function).
    """

    def run(function: Callable[[], Any]) -> Any:
        if os.geteuid() != 0 and capget().effective == 0:
            return fork(function).result()
        return as_user(STRANGER, OTHER_GROUP, function)

    return run
