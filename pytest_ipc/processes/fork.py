"""The factory of forked children, also in another namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar

from ..resource import created
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

    A child has its parent's descriptors, as after fork(2), except the pipes and sockets of the test runner.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._enter: Callable[[], None] | None = None

    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]:
        """Run function(*args, **kwargs) in a child (fork(2)). Raises OSError (EAGAIN at the limit of processes)."""
        return self.keeping()(function, *args, **kwargs)

    def entering(self, enter: Callable[[], None]) -> Fork:
        """Return a factory of children that call *enter* before their function, for example to enter a namespace."""
        other = Fork(self._scope)
        other._enter = enter
        return other

    def keeping(self, *fds: int) -> Start:
        """Return a factory of children that keep the descriptors *fds* even if they are the test runner's."""

        def start(function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Child[Result]:
            return created(
                Child.start, function, args, kwargs, keep=frozenset(fds), enter=self._enter, scope=self._scope
            )

        return start

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "fork cannot be passed to another process: its children belong to this one; use pytest_ipc.scope() there"
        )

    if not TYPE_CHECKING:  # a type checker knows that there is no such attribute

        def __getattr__(self, name: str) -> object:
            __tracebackhide__ = True
            if name.startswith("_"):
                raise AttributeError(f"Fork has no attribute {name!r}", name=name, obj=self)
            raise AttributeError(f"fork is a factory: call it, as in fork(function).{name}", name=name, obj=self)


class ForkInside:
    """The factory of children in a namespace, which adds each to the namespace's list *children*."""

    def __init__(self, fork: Fork, children: list[Child[Any]]) -> None:
        self._fork = fork
        self._children = children

    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]:
        """Run function(*args, **kwargs) in a child in the namespace (fork(2)). Raises OSError."""
        return self.keeping()(function, *args, **kwargs)

    def keeping(self, *fds: int) -> Start:
        """Return a factory of children that keep the descriptors *fds* even if they are the test runner's."""

        def start(function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Child[Result]:
            child = self._fork.keeping(*fds)(function, *args, **kwargs)
            self._children.append(child)
            return child

        return start
