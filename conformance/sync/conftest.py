"""What the clauses about counters, timers and futexes share: children with default dispositions, and whether one is ready."""

from __future__ import annotations

import select
from collections.abc import Callable

import pytest

from ..signal.conftest import fork

__all__ = ["fork"]

Ready = Callable[[int], int]


@pytest.fixture
def ready() -> Ready:
    """What can be done with a descriptor without waiting, as poll(2) has it: ready(fd)."""

    def ask(fd: int) -> int:
        asked = select.poll()
        asked.register(fd, select.POLLIN | select.POLLOUT)
        return dict(asked.poll(0)).get(fd, 0)

    return ask
