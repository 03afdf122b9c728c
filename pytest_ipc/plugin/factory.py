"""The value of a short fixture: a factory, whose errors remind a test that did not call it."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

__all__ = ["Factory"]

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Factory(Generic[Given, Made]):
    """Create an object with each call; take the parameters, the name and the docstring of *create*.

    Import the *module* of the class at once: when the test calls the factory, it may have no free descriptor.
    """

    def __init__(self, create: Callable[Given, Made], module: str | None = None) -> None:
        if module is not None:
            import_module(f"pytest_ipc.resources.{module}")
        self._create = create
        update_wrapper(self, create)

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Made:
        """Create an object, which is removed at the end of the test."""
        __tracebackhide__ = True
        return self._create(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<factory {self._create.__name__}{signature(self._create)}>"

    if not TYPE_CHECKING:  # a type checker knows that there is no such attribute

        def __getattr__(self, name: str) -> object:
            __tracebackhide__ = True
            if name.startswith("_"):
                raise AttributeError(f"a factory has no attribute {name!r}", name=name, obj=self)
            made = self._create.__name__
            raise AttributeError(f"{made} is a factory: call it, as in {made}().{name}", name=name, obj=self)
