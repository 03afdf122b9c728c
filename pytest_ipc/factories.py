"""The factories: which name makes which resource. The fixtures and `scope()` both read this one table.

`scope()` is for what lives longer or shorter than a test: a session fixture, one example of a Hypothesis test, a program
without pytest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from .custody.scope import Scope
from .forks import Fork
from .resources.eventfd import EventFd
from .resources.fifo import Fifo
from .resources.futex import Futex
from .resources.ipc_namespace import IpcNamespace
from .resources.listener import Listener
from .resources.lock import FileLock
from .resources.mapping import Mapping
from .resources.message_queue import MessageQueue
from .resources.pipe import Pipe
from .resources.posix_queue import PosixQueue
from .resources.posix_semaphore import PosixSemaphore
from .resources.segment import Segment
from .resources.semaphores import SemaphoreSet
from .resources.shared_memory import SharedMemory
from .resources.signals import Signals
from .resources.socket import Socket
from .resources.timers import TimerFd
from .resources.two_hosts import TwoHosts

__all__ = ["Factories", "Sockets", "scope"]


Made = TypeVar("Made")


class Sockets:
    """Make sockets, in pairs, with addresses, and connected to such: the factory of each, with the doc of what it makes."""

    def __init__(self, scope: Scope) -> None:
        self.socket = _factory(Socket.create, scope)
        self.pair = _factory(Socket.pair, scope)
        self.connect = _factory(Socket.connect, scope)
        self.listen_unix = _factory(Listener.unix, scope)
        self.listen_inet = _factory(Listener.inet, scope)


# Tells an object that could not be made for a test from a call under test that failed.
COULD_NOT_MAKE = "so the object that was asked for could not be made"


class Factories:
    """Everything the fixtures make, each owned by one scope."""

    def __init__(self, scope: Scope) -> None:
        if not sys.platform.startswith("linux"):
            raise NotImplementedError(f"pytest-ipc makes Linux IPC objects, and this system is {sys.platform}")
        self.scope = scope
        self.sysv_shm = _factory(Segment.create, scope)
        self.sysv_sem = _factory(SemaphoreSet.create, scope)
        self.posix_shm = _factory(SharedMemory.create, scope)
        self.mapped_file = _factory(Mapping.create, scope)
        self.posix_sem = _factory(PosixSemaphore.create, scope)
        self.posix_mq = _factory(PosixQueue.create, scope)
        self.sysv_msg = _factory(MessageQueue.create, scope)
        self.pipe = _factory(Pipe.create, scope)
        self.fifo = _factory(Fifo.create, scope)
        self.eventfd = _factory(EventFd.create, scope)
        self.timerfd = _factory(TimerFd.create, scope)
        self.futex = _factory(Futex.create, scope)
        self.file_lock = _factory(FileLock.create, scope)
        self.sockets = Sockets(scope)
        self.fork = Fork(scope)
        self.two_hosts = _factory(TwoHosts.create, scope, fork=self.fork)
        self.ipc_namespace = _factory(IpcNamespace.create, scope, fork=self.fork)
        self._signals: Signals | None = None

    @property
    def signals(self) -> Signals:
        """The signal state of this process, put back when the scope ends; taken note of at the first use."""
        if self._signals is None:
            self._signals = Signals.create(scope=self.scope)
        return self._signals


def _factory(create: Callable[..., Made], scope: Scope, **given: Any) -> Callable[..., Made]:
    def make(*args: Any, **kwargs: Any) -> Made:
        try:
            return create(*args, scope=scope, **given, **kwargs)
        except OSError as error:
            error.add_note(COULD_NOT_MAKE)
            raise

    return wraps(create)(make)


@contextmanager
def scope() -> Iterator[Factories]:
    """The factories of the fixtures, for a `with` statement: everything made in it is gone at its end.

    with pytest_ipc.scope() as ipc:
        segment = ipc.sysv_shm(8192)
        child = ipc.fork(worker, segment.key)

    What cannot be released is raised at the end, several failures as an ExceptionGroup.
    """
    with Scope() as owner:
        yield Factories(owner)
