"""The factory of forked children, also in another namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar, cast, overload

from ..resource import created
from .arguments import checked_descriptors
from .child import Child

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Fork"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


Given = ParamSpec("Given")
Result = TypeVar("Result")


class Start(Protocol):
    """Start a child that runs function(*args, **kwargs)."""

    # Type checkers allow no keyword beside the parameters of the function, so with may_fail they are not compared.
    @overload
    def __call__(
        self, function: Callable[..., Result], /, *args: Any, may_fail: bool, **kwargs: Any
    ) -> Child[Result]: ...
    @overload
    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]: ...


class Fork:
    """Start forked children: fork(function, *args, may_fail=False, **kwargs) -> Child.

    A child has its parent's descriptors, as after fork(2), except the pipes and sockets of the test runner. An
    exception or a crash for which nobody waits fails the test at its end, unless *may_fail* is true.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._enter: Callable[[], None] | None = None

    @overload
    def __call__(
        self, function: Callable[..., Result], /, *args: Any, may_fail: bool, **kwargs: Any
    ) -> Child[Result]: ...
    @overload
    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]: ...
    def __call__(  # type: ignore[misc] # mypy accepts no implementation with a keyword beside a ParamSpec
        self, function: Callable[..., Result], /, *args: Any, may_fail: bool = False, **kwargs: Any
    ) -> Child[Result]:
        """Run function(*args, **kwargs) in a child (fork(2)). Raises OSError (EAGAIN at the limit of processes).

        *may_fail* is never an argument of the function: functools.partial passes it one of that name.
        """
        return self.keeping()(function, *args, may_fail=may_fail, **kwargs)

    def entering(self, enter: Callable[[], None]) -> Fork:
        """Return a factory of children that call *enter* before their function, for example to enter a namespace."""
        other = Fork(self._scope)
        other._enter = enter
        return other

    def keeping(self, *fds: int) -> Start:
        """Return a factory of children that keep the descriptors *fds* even if they are the test runner's.

        TypeError, or OSError (EBADF) if one is not open.
        """
        keep = frozenset(checked_descriptors(fds, "fork.keeping()"))

        def start(
            function: Callable[..., Result], /, *args: Any, may_fail: bool = False, **kwargs: Any
        ) -> Child[Result]:
            return created(
                Child.start,
                function,
                args,
                kwargs,
                keep=keep,
                enter=self._enter,
                may_fail=may_fail,
                scope=self._scope,
            )

        return cast("Start", start)

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

    @overload
    def __call__(
        self, function: Callable[..., Result], /, *args: Any, may_fail: bool, **kwargs: Any
    ) -> Child[Result]: ...
    @overload
    def __call__(
        self, function: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Child[Result]: ...
    def __call__(  # type: ignore[misc] # mypy accepts no implementation with a keyword beside a ParamSpec
        self, function: Callable[..., Result], /, *args: Any, may_fail: bool = False, **kwargs: Any
    ) -> Child[Result]:
        """Run function(*args, **kwargs) in a child in the namespace (fork(2)). Raises OSError."""
        return self.keeping()(function, *args, may_fail=may_fail, **kwargs)

    def keeping(self, *fds: int) -> Start:
        """Return a factory of children that keep the descriptors *fds* even if they are the test runner's."""

        def start(
            function: Callable[..., Result], /, *args: Any, may_fail: bool = False, **kwargs: Any
        ) -> Child[Result]:
            child = self._fork.keeping(*fds)(function, *args, may_fail=may_fail, **kwargs)
            self._children.append(child)
            return child

        return cast("Start", start)
