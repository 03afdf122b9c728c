"""The factories: which name makes which resource. The fixtures and `scope()` both read this one table.

`scope()` is for what lives longer or shorter than a test: a session fixture, one example of a Hypothesis test, a program
without pytest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .custody.scope import Scope
from .processes.fork import Fork
from .resource import COULD_NOT_MAKE

if TYPE_CHECKING:
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

__all__ = ["Ipc", "Sockets", "scope"]


Made = TypeVar("Made")


class _Makes(Generic[Made]):
    """An entry of the table: the factory of *room*'s class, which is imported when it is first asked for."""

    def __init__(self, room: str, what: str, *, forks: bool = False) -> None:
        self._room = room
        self._what = what
        self._forks = forks

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, table: Any, owner: type) -> Callable[..., Made]:
        create: Any = import_module(f"{__package__}.resources.{self._room}")
        for name in self._what.split("."):
            create = getattr(create, name)
        make: Callable[..., Made] = _factory(create, table.scope, **({"fork": table.fork} if self._forks else {}))
        setattr(table, self._name, make)  # from now on it is found there
        return make


class Sockets:
    """Make sockets, in pairs, with addresses, and connected to such: the factory of each, with the doc of what it makes."""

    socket: _Makes[Socket] = _Makes("socket", "Socket.create")
    pair: _Makes[tuple[Socket, Socket]] = _Makes("socket", "Socket.pair")
    connect: _Makes[Socket] = _Makes("socket", "Socket.connect")
    listen_unix: _Makes[Listener] = _Makes("listener", "Listener.unix")
    listen_inet: _Makes[Listener] = _Makes("listener", "Listener.inet")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


class Ipc:
    """Everything the fixtures make, each owned by one scope."""

    sysv_shm: _Makes[Segment] = _Makes("segment", "Segment.create")
    sysv_sem: _Makes[SemaphoreSet] = _Makes("semaphores", "SemaphoreSet.create")
    sysv_msg: _Makes[MessageQueue] = _Makes("message_queue", "MessageQueue.create")
    posix_shm: _Makes[SharedMemory] = _Makes("shared_memory", "SharedMemory.create")
    posix_sem: _Makes[PosixSemaphore] = _Makes("posix_semaphore", "PosixSemaphore.create")
    posix_mq: _Makes[PosixQueue] = _Makes("posix_queue", "PosixQueue.create")
    mapped_file: _Makes[Mapping] = _Makes("mapping", "Mapping.create")
    pipe: _Makes[Pipe] = _Makes("pipe", "Pipe.create")
    fifo: _Makes[Fifo] = _Makes("fifo", "Fifo.create")
    file_lock: _Makes[FileLock] = _Makes("lock", "FileLock.create")
    eventfd: _Makes[EventFd] = _Makes("eventfd", "EventFd.create")
    timerfd: _Makes[TimerFd] = _Makes("timers", "TimerFd.create")
    futex: _Makes[Futex] = _Makes("futex", "Futex.create")
    two_hosts: _Makes[TwoHosts] = _Makes("two_hosts", "TwoHosts.create", forks=True)
    ipc_namespace: _Makes[IpcNamespace] = _Makes("ipc_namespace", "IpcNamespace.create", forks=True)

    def __init__(self, scope: Scope) -> None:
        if not sys.platform.startswith("linux"):
            raise NotImplementedError(f"pytest-ipc makes Linux IPC objects, and this system is {sys.platform}")
        self.scope = scope
        self.sockets = Sockets(scope)
        self.fork = Fork(scope)
        self._signals: Signals | None = None

    @property
    def signals(self) -> Signals:
        """The signal state of this process, put back when the scope ends; taken note of at the first use."""
        if self._signals is None:
            from .resources.signals import Signals

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
def scope() -> Iterator[Ipc]:
    """The factories of the fixtures, for a `with` statement: everything made in it is gone at its end.

    with pytest_ipc.scope() as ipc:
        segment = ipc.sysv_shm(8192)
        child = ipc.fork(worker, segment.key)

    What cannot be released is raised at the end, several failures as an ExceptionGroup.
    """
    with Scope() as owner:
        yield Ipc(owner)
