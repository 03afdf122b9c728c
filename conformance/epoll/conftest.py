"""Fixtures of the clauses about waiting for descriptors: epoll instances, and children with default signal
dispositions.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable

import pytest

from pytest_ipc import End, Ipc
from pytest_ipc.kernel import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EpollEvent,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
)

from ..signal.conftest import fork

__all__ = ["fork"]


class Instance:
    """An epoll instance."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def add(self, fd: int, events: int, data: int | None = None) -> None:
        """Call epoll_ctl(2) with EPOLL_CTL_ADD."""
        epoll_ctl(self.fd, EPOLL_CTL_ADD, fd, events, data)

    def modify(self, fd: int, events: int, data: int | None = None) -> None:
        """Call epoll_ctl(2) with EPOLL_CTL_MOD."""
        epoll_ctl(self.fd, EPOLL_CTL_MOD, fd, events, data)

    def remove(self, fd: int) -> None:
        """Call epoll_ctl(2) with EPOLL_CTL_DEL and no event."""
        epoll_ctl(self.fd, EPOLL_CTL_DEL, fd)

    def ready(self, most: int = 16) -> list[EpollEvent]:
        """Return the present events, at most *most*, without waiting."""
        return epoll_wait(self.fd, most, 0)


@pytest.fixture
def instance(ipc_scope: Ipc) -> Callable[[], Instance]:
    """Create an epoll instance: instance() -> Instance. Children inherit it; it is closed with the test."""

    def make() -> Instance:
        return Instance(End(epoll_create1(), "epoll instance", ipc_scope.scope).fileno())

    return make


@pytest.fixture
def epoll(instance: Callable[[], Instance]) -> Instance:
    """Create an epoll instance."""
    return instance()


def open_all(limit: int = 32) -> None:
    """Open descriptors in this child up to RLIMIT_NOFILE, which is set to *limit*."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return


def numbers(events: Iterable[EpollEvent]) -> list[int]:
    """Return the data field of each event."""
    return [event.data for event in events]
