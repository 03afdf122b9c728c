"""The record of one object in the ledger: opened before the object is created, closed once it is gone."""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from types import TracebackType
from typing import Any, Protocol, Self

from ..unpatched import json
from .cleanup import failures_ignored, is_failure

__all__ = ["Record", "following", "made_by", "written"]


class _MadeBy:
    """The running test, for the records; set by the plugin."""

    test: str | None = None


made_by: _MadeBy = _MadeBy()


_WRITERS: dict[type, Callable[[Any], str]] = {
    int: repr,
    float: repr,
    str: encode_basestring_ascii,
    bool: lambda value: "true" if value else "false",
}


def written(details: dict[str, Any]) -> str:
    """Return *details* as json.dumps() does, for names that need no escapes, in half the time."""
    return f"{{{following(details)[2:]}}}"


def following(details: dict[str, Any]) -> str:
    """Return the items of that JSON object, each after a comma, to append to others."""
    return "".join([f', "{name}": {_WRITERS.get(type(value), json.dumps)(value)}' for name, value in details.items()])


class Ledger(Protocol):
    """The ledger that holds a record."""

    def enter(self, number: int, line: str) -> None:
        """Append *line* about the open record *number*."""

    def has(self, number: int) -> bool:
        """Return whether the record is open."""
        ...

    def leave(self, number: int) -> None:
        """Close the record."""


class Record:
    """The record of one object; as a context manager around its creation, a failed call closes it."""

    __slots__ = ("_ledger", "details", "number")

    def __init__(self, ledger: Ledger, number: int, details: dict[str, Any]) -> None:
        self._ledger = ledger
        self.number: int = number
        self.details: dict[str, Any] = details

    def made(self, **identity: Any) -> None:
        """Record that the object exists, with the *identity* that distinguishes it from others."""
        # If this cannot be written, the object can still be found by its intent.
        with failures_ignored:
            self._ledger.enter(self.number, f"= {self.number} {written(identity)}\n")

    @property
    def is_open(self) -> bool:
        """Whether the object may still exist, as far as this process knows."""
        return self._ledger.has(self.number)

    def closed(self) -> None:
        """Close the record of an object that is gone. Do nothing in a process that did not open it."""
        self._ledger.leave(self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A failed call has created nothing. Other exceptions come from signal handlers (Ctrl-C, timeout), perhaps after
        # the call, so the record stays and a sweep looks for the object.
        if is_failure(error):
            self.closed()
