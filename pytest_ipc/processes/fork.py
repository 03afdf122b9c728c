"""The factory of forked children, also of children in a namespace or on a host."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from ..resource import COULD_NOT_MAKE
from .child import Child

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Fork"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


Given = ParamSpec("Given")
Result = TypeVar("Result")


class Start(Protocol):
    """Start a child that runs function(*args, **kwargs)."""

    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]: ...


class Fork:
    """Start forked children: fork(function, *args, **kwargs) -> Child.

    A child has its parent's descriptors, as fork(2) has it, but for the pipes and sockets of the test runner, which are
    closed in it.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._enter: Callable[[], None] | None = None

    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]:
        """fork(2): run function(*args, **kwargs) in a child. OSError (EAGAIN at the limit of processes)."""
        return self.keeping()(function, *args, **kwargs)

    def entering(self, enter: Callable[[], None]) -> Fork:
        """The same, for children that call *enter* before their function: to go where it is to run."""
        other = copy(self)
        other._enter = enter  # noqa: SLF001 - a copy of this very object
        return other

    def keeping(self, *fds: int) -> Start:
        """The same, for a child that keeps the descriptors *fds* even if they are the test runner's."""

        def start(function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Child[Result]:
            try:
                return Child.start(function, args, kwargs, keep=frozenset(fds), enter=self._enter, scope=self._scope)
            except OSError as error:
                error.add_note(COULD_NOT_MAKE)
                raise

        return start

    if not TYPE_CHECKING:  # a type checker knows that there is no such attribute

        def __getattr__(self, name: str) -> object:
            __tracebackhide__ = True
            if name.startswith("_"):
                raise AttributeError(f"Fork has no attribute {name!r}", name=name, obj=self)
            raise AttributeError(f"fork is a factory: call it, as in fork(function).{name}", name=name, obj=self)


class ForkInside:
    """The factory of the actors of one place, a namespace or a host, which ends them with it: *actors* is its list."""

    def __init__(self, fork: Fork, actors: list[Child[Any]]) -> None:
        self._fork = fork
        self._actors = actors

    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]:
        """fork(2): run function(*args, **kwargs) in a child there. OSError (EAGAIN at the limit of processes)."""
        return self.keeping()(function, *args, **kwargs)

    def keeping(self, *fds: int) -> Start:
        """The same, for a child that keeps the descriptors *fds* even if they are the test runner's."""

        def start(function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Child[Result]:
            actor = self._fork.keeping(*fds)(function, *args, **kwargs)
            self._actors.append(actor)
            return actor

        return start
