"""Fixtures of the semaphore clauses: waiting children, and sets that belong to another user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import Child, Fork, Need, SemaphoreSet, untested
from pytest_ipc.kernel import Deadline, semop

from ..credentials import GROUP, OWNER


@pytest.fixture
def waiting(fork: Fork) -> Callable[..., Child[Any]]:
    """Start a child that sleeps in semop(2): waiting(semaphores, (num, op), ...); its result is 0 or the errno."""

    def start(semaphores: SemaphoreSet, *operations: tuple[int, ...]) -> Child[Any]:
        child = fork(outcome, semaphores.id, *operations)
        child.wait_blocked("semop")
        return child

    return start


def first_to_end(children: list[Child[Any]]) -> Child[Any]:
    """Wait for the first of *children* to end, remove it from the list and return it. Raise TimeoutError after 5 s."""
    if not Deadline(5).until(lambda: not all(child.alive for child in children)):
        raise TimeoutError(f"none of {len(children)} waiting processes returned within 5 s")
    ended = next(child for child in children if not child.alive)
    children.remove(ended)
    return ended


def outcome(semid: int, *operations: tuple[int, ...]) -> int:
    """Return 0 if semop() succeeds, else the errno."""
    try:
        semop(semid, operations)
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.fixture
def owned(sysv_sem: Callable[..., SemaphoreSet]) -> Callable[..., SemaphoreSet]:
    """Return a function that creates a set and gives it to OWNER and GROUP with the given mode."""

    def make(mode: int, count: int = 1) -> SemaphoreSet:
        semaphores = sysv_sem(count)
        try:
            semaphores.set_status(uid=OWNER, gid=GROUP, mode=mode)
        except OSError as error:
            untested(Need.OTHER_USERS, f"cannot give a set to another user: {error.strerror}")
        return semaphores

    return make
