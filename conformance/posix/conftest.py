"""What clauses about POSIX objects share: names for what a test makes itself, and descriptors that are closed with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from pytest_ipc import End, Factories, shm_open, shm_unlink, unused_name


@pytest.fixture
def names() -> Iterator[Callable[[], str]]:
    """Names for shared memory that a test makes by the call itself: names(), a new one. What has one at the end goes."""
    drawn: list[str] = []

    def draw() -> str:
        drawn.append(unused_name())
        return drawn[-1]

    yield draw
    for name in drawn:
        with suppress(FileNotFoundError):
            shm_unlink(name)


@pytest.fixture
def opened(ipc_scope: Factories) -> Callable[..., int]:
    """Open shared memory by the call itself: opened(name, flags, mode), a descriptor that is closed with the test."""

    def call(name: str | bytes, flags: int, mode: int = 0o600) -> int:
        return End(shm_open(name, flags, mode), os.fsdecode(name), ipc_scope.scope).fd

    return call
