"""The factories: which name makes which resource. The fixtures and `scope()` both read this one table.

`scope()` is for what lives longer or shorter than a test: a session fixture, one example of a Hypothesis test, a program
without pytest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from functools import partial, wraps
from types import FunctionType, MethodType
from typing import Any, TypeVar

from .actors import Actor
from .custody.scope import Scope
from .kernel.proc import open_descriptors
from .resources.base import Resource
from .resources.fifo import Fifo
from .resources.pipe import Pipe
from .resources.segment import Segment
from .resources.signals import Signals

__all__ = ["Factories", "Fork", "scope"]


Made = TypeVar("Made", bound=Resource)


class Fork:
    """Start forked children: fork(function, *args, **kwargs) -> Actor.

    A child holds the descriptors of the scope's resources and those that the call hands it, and no others: `Resource`s,
    objects with fileno(), and numbers of descriptors opened since this factory was made, among the arguments and the
    variables that the function closes over. `keep` names more.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        # A small number among the arguments is a descriptor only if it was opened in this scope's time: an exit status
        # of 3 must not hand the child whatever pytest or a worker has at 3.
        # What the number stood for is kept too: it may have been closed since and given to something new.
        self._before = {fd: _identity(fd) for fd in open_descriptors()}

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Actor:
        """fork(2): run function(*args, **kwargs) in a child. OSError (EAGAIN at the limit of processes)."""
        return self.keeping()(function, *args, **kwargs)

    def keeping(self, *fds: int) -> Callable[..., Actor]:
        """The same, for a child that also holds the descriptors *fds*."""

        def start(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Actor:
            given = set(fds)
            for thing in (*self._scope.owned(), function, *args, *kwargs.values()):
                given.update(self._descriptors(thing))
            return Actor.start(function, args, kwargs, keep=given, scope=self._scope)

        return start

    def _descriptors(self, thing: object, depth: int = 4) -> Iterator[int]:
        """The descriptors that *thing* is, or holds within a few steps."""
        if isinstance(thing, int):
            # bool and IntEnum are out: True and SIGUSR1 are numbers, but no descriptors.
            if type(thing) is int and thing > 2 and _identity(thing) != self._before.get(thing):
                yield thing
        elif isinstance(thing, Resource):
            yield from thing.descriptors()
        elif depth:
            for part in _parts(thing):
                yield from self._descriptors(part, depth - 1)


def _parts(thing: object) -> Iterable[object]:
    if isinstance(thing, (list, tuple, set, frozenset)):
        return thing
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, MethodType):
        return (thing.__self__, thing.__func__)
    if isinstance(thing, partial):
        return (thing.func, *thing.args, *thing.keywords.values())
    if isinstance(thing, FunctionType):
        return [*_cells(thing), *(thing.__defaults__ or ())]
    if isinstance(thing, (type, CDLL)):  # a library has a fileno too: C's, which would take whatever is in the register
        return ()
    try:
        return (_File(thing.fileno()),)  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError, TypeError):
        return ()


def _identity(fd: int) -> tuple[int, int] | None:
    """What the descriptor refers to; None if it is not open."""
    try:
        status = os.fstat(fd)
    except (OSError, OverflowError):
        return None
    return status.st_dev, status.st_ino


def _cells(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            continue


class _File(Resource):
    """A descriptor that came from an object with fileno(): given whenever it was opened."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def descriptors(self) -> list[int]:
        return [self._fd]


# Tells an object that could not be made for a test from a call under test that failed.
COULD_NOT_MAKE = "so the object that was asked for could not be made"


class Factories:
    """Everything the fixtures make, each owned by one scope."""

    def __init__(self, scope: Scope) -> None:
        if not sys.platform.startswith("linux"):
            raise NotImplementedError(f"pytest-ipc makes Linux IPC objects, and this system is {sys.platform}")
        self.scope = scope
        self.sysv_shm = _factory(Segment.create, scope)
        self.pipe = _factory(Pipe.create, scope)
        self.fifo = _factory(Fifo.create, scope)
        self.fork = Fork(scope)
        self._signals: Signals | None = None

    @property
    def signals(self) -> Signals:
        """The signal state of this process, put back when the scope ends; taken note of at the first use."""
        if self._signals is None:
            self._signals = Signals.create(scope=self.scope)
        return self._signals


def _factory(create: Callable[..., Made], scope: Scope) -> Callable[..., Made]:
    def make(*args: Any, **kwargs: Any) -> Made:
        try:
            return create(*args, scope=scope, **kwargs)
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
