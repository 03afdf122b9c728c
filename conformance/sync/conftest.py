"""Fixtures of the clauses about counters, timers and futexes: children with default dispositions, readiness."""

from __future__ import annotations

import select
from collections.abc import Callable

import pytest

from ..signal.conftest import fork

__all__ = ["fork"]

Ready = Callable[[int], int]


@pytest.fixture
def ready() -> Ready:
    """Return the events that poll(2) reports for a descriptor at once: ready(fd)."""

    def ask(fd: int) -> int:
        asked = select.poll()
        asked.register(fd, select.POLLIN | select.POLLOUT)
        return dict(asked.poll(0)).get(fd, 0)

    return ask
