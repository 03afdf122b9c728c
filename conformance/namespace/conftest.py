"""What clauses about namespaces share: where this thread is, a descriptor of that, and somebody who is elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import Child, Fork, untested
from pytest_ipc.kernel import CLONE_NEWIPC, capget

from ..credentials import OTHER_GROUP, STRANGER, leave


def where(kind: str = "ipc") -> str:
    """The namespace of this thread, as "ipc:[4026531839]"."""
    try:
        return os.readlink(f"/proc/thread-self/ns/{kind}")
    except OSError as error:
        untested(f"needs /proc/thread-self/ns/{kind}: {error.strerror}")


def opened(kind: str = "ipc", process: object = "self") -> int:
    """A descriptor that refers to a namespace, closed at exec."""
    try:
        return os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        untested(f"needs /proc/{process}/ns/{kind}: {error.strerror}")


def in_a_thread(task: Callable[[], Any]) -> Any:
    """What *task* gives in a thread of its own; what it raises is raised here."""
    given: list[Any] = []
    failed: list[BaseException] = []

    def life() -> None:
        try:
            given.append(task())
        except BaseException as error:  # noqa: BLE001 - the boundary; it is raised below
            failed.append(error)

    thread = threading.Thread(target=life)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return given[0]


@pytest.fixture
def besides_a_thread() -> Callable[[Callable[[], Any]], Any]:
    """Run a task in a process that has a second thread, which waits meanwhile."""

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
def elsewhere(fork: Fork) -> Callable[[], Child[Any]]:
    """An actor that waits in an IPC namespace of its own."""

    def start() -> Child[Any]:
        def life() -> None:
            leave(CLONE_NEWIPC)
            signal.pause()

        actor = fork(life)
        actor.wait_blocked("pause")
        return actor

    return start


@pytest.fixture
def in_a_child(fork: Fork) -> Callable[..., Any]:
    """Run a function in a child, since there is no way back from what it does: its result."""

    def run(function: Callable[..., Any], *args: Any) -> Any:
        return fork(function, *args).result()

    return run


@pytest.fixture
def unprivileged(fork: Fork, as_user: Callable[..., Any]) -> Callable[[Callable[[], Any]], Any]:
    """Run a function in a child without any capability, as this user if that is no privileged one: its result."""

    def run(function: Callable[[], Any]) -> Any:
        if os.geteuid() != 0 and capget().effective == 0:
            return fork(function).result()
        return as_user(STRANGER, OTHER_GROUP, function)

    return run
