"""What clauses about semaphores share: waiting actors, the clock that stamps sets, sets that belong to somebody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import Child, Fork, SemaphoreSet, untested
from pytest_ipc.kernel import Deadline, semop

from ..credentials import GROUP, OWNER


@pytest.fixture
def waiting(fork: Fork) -> Callable[..., Child[Any]]:
    """Start an actor that sleeps in semop(2): waiting(semaphores, (num, op), ...); its result is 0 or the errno."""

    def start(semaphores: SemaphoreSet, *operations: tuple[int, ...]) -> Child[Any]:
        actor = fork(outcome, semaphores.id, *operations)
        actor.wait_blocked("semop")
        return actor

    return start


def first_to_end(actors: list[Child[Any]]) -> Child[Any]:
    """Wait for one of *actors* to end, whichever it is, and take it out of the list. TimeoutError."""
    if not Deadline(5).until(lambda: not all(actor.alive for actor in actors)):
        raise TimeoutError(f"none of {len(actors)} processes that wait for the same went on within 5 s")
    ended = next(actor for actor in actors if not actor.alive)
    actors.remove(ended)
    return ended


def outcome(semid: int, *operations: tuple[int, ...]) -> int:
    """What comes of the operations: 0, or the errno."""
    try:
        semop(semid, operations)
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.fixture
def owned(sysv_sem: Callable[..., SemaphoreSet]) -> Callable[..., SemaphoreSet]:
    """A set of OWNER and GROUP with the mode given, made by whoever runs the suite."""

    def make(mode: int, count: int = 1) -> SemaphoreSet:
        semaphores = sysv_sem(count)
        try:
            semaphores.set(uid=OWNER, gid=GROUP, mode=mode)
        except OSError as error:
            untested(f"cannot give a set to another user: {error.strerror}")
        return semaphores

    return make
