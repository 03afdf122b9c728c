"""What the clauses about waiting for descriptors are written with: an epoll instance, and children with default dispositions."""

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
    """An epoll instance of a test."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def add(self, fd: int, events: int, data: int | None = None) -> None:
        """EPOLL_CTL_ADD."""
        epoll_ctl(self.fd, EPOLL_CTL_ADD, fd, events, data)

    def modify(self, fd: int, events: int, data: int | None = None) -> None:
        """EPOLL_CTL_MOD."""
        epoll_ctl(self.fd, EPOLL_CTL_MOD, fd, events, data)

    def remove(self, fd: int) -> None:
        """EPOLL_CTL_DEL, with no event."""
        epoll_ctl(self.fd, EPOLL_CTL_DEL, fd)

    def ready(self, most: int = 16) -> list[EpollEvent]:
        """The events that there are now."""
        return epoll_wait(self.fd, most, 0)


@pytest.fixture
def instance(ipc_scope: Ipc) -> Callable[[], Instance]:
    """Make epoll instances, which children are given and which are closed at the end."""

    def make() -> Instance:
        return Instance(End(epoll_create1(), "epoll instance", ipc_scope.scope).fileno())

    return make


@pytest.fixture
def epoll(instance: Callable[[], Instance]) -> Instance:
    """An epoll instance."""
    return instance()


def open_all(limit: int = 32) -> None:
    """Have as many descriptors open as this process, a child, may from here on: *limit*."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return


def numbers(events: Iterable[EpollEvent]) -> list[int]:
    """The data of events."""
    return [event.data for event in events]
