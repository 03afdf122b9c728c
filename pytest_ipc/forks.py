"""The factory of forked children: which descriptors a child is given, and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from ctypes import CDLL
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from .actors import Actor
from .kernel.proc import open_descriptors
from .resources.base import COULD_NOT_MAKE, Resource
from .unpatched import os

if TYPE_CHECKING:
    from .custody.scope import Scope

__all__ = ["Fork"]


class Fork:
    """Start forked children: fork(function, *args, **kwargs) -> Actor.

    A child holds the descriptors of the scope's resources and those that the call hands it, and no others: `Resource`s,
    objects with fileno(), and numbers of descriptors opened since this factory was made, among the arguments and the
    variables that the function closes over. `keep` names more.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._enter: Callable[[], None] | None = None
        # A small number among the arguments is a descriptor only if it was opened in this scope's time: an exit status
        # of 3 must not hand the child whatever pytest or a worker has at 3.
        # What the number stood for is kept too: it may have been closed since and given to something new.
        self._before = {fd: _identity(fd) for fd in open_descriptors()}

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Actor:
        """fork(2): run function(*args, **kwargs) in a child. OSError (EAGAIN at the limit of processes)."""
        return self.keeping()(function, *args, **kwargs)

    def entering(self, enter: Callable[[], None]) -> Fork:
        """The same, for children that call *enter* before their function: to go where it is to run."""
        other = copy(self)
        other._enter = enter  # noqa: SLF001 - a copy of this very object
        return other

    def keeping(self, *fds: int) -> Callable[..., Actor]:
        """The same, for a child that also holds the descriptors *fds*."""

        def start(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Actor:
            given = set(fds)
            for thing in (*self._scope.owned(), self._enter, function, *args, *kwargs.values()):
                given.update(self._descriptors(thing))
            try:
                return Actor.start(function, args, kwargs, keep=given, enter=self._enter, scope=self._scope)
            except OSError as error:
                error.add_note(COULD_NOT_MAKE)
                raise

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


class ForkInside:
    """The factory of the actors of one place, a namespace or a host, which ends them with it: *actors* is its list."""

    def __init__(self, fork: Fork, actors: list[Actor]) -> None:
        self._fork = fork
        self._actors = actors

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Actor:
        """fork(2): run function(*args, **kwargs) in a child there. OSError (EAGAIN at the limit of processes)."""
        return self.keeping()(function, *args, **kwargs)

    def keeping(self, *fds: int) -> Callable[..., Actor]:
        """The same, for a child that also holds the descriptors *fds*."""

        def start(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Actor:
            actor = self._fork.keeping(*fds)(function, *args, **kwargs)
            self._actors.append(actor)
            return actor

        return start


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
        return (_File(thing.fileno()),)  # type: ignore[attr-defined] # whether it has one is what is asked
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
