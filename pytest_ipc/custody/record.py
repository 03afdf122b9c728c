"""The entry of one object in the ledger: opened before the object is created, closed when it is gone."""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from types import TracebackType
from typing import Any, Protocol, Self

from ..unpatched import json
from .cleanup import failures_ignored, is_failure

__all__ = ["Record", "following", "made_by", "written"]


class _MadeBy:
    """The test that is running, for the records: set by the plugin."""

    test: str | None = None


made_by: _MadeBy = _MadeBy()


_WRITERS: dict[type, Callable[[Any], str]] = {
    int: repr,
    float: repr,
    str: encode_basestring_ascii,
    bool: lambda value: "true" if value else "false",
}


def written(details: dict[str, Any]) -> str:
    """What json.dumps() makes of *details*, whose names are plain words, in half its time: it is done for every object."""
    return f"{{{following(details)[2:]}}}"


def following(details: dict[str, Any]) -> str:
    """The inside of that, each detail after a comma: what is to follow on something that is there."""
    return "".join([f', "{name}": {_WRITERS.get(type(value), json.dumps)(value)}' for name, value in details.items()])


class Ledger(Protocol):
    """Where a record stands."""

    def enter(self, number: int, line: str) -> None:
        """Write a *line* about the open record of that *number*."""

    def has(self, number: int) -> bool:
        """Return whether the record is open."""
        ...

    def leave(self, number: int) -> None:
        """Close the record."""


class Record:
    """One object's entry. A context manager for the making: left by the call's failure, the object was not made."""

    __slots__ = ("_ledger", "details", "number")

    def __init__(self, ledger: Ledger, number: int, details: dict[str, Any]) -> None:
        self._ledger = ledger
        self.number: int = number
        self.details: dict[str, Any] = details

    def made(self, **identity: Any) -> None:
        """The object exists; *identity* tells it from any other."""
        # If this cannot be written the intent is still there to find the object by.
        with failures_ignored:
            self._ledger.enter(self.number, f"= {self.number} {written(identity)}\n")

    @property
    def is_open(self) -> bool:
        """Whether the object may still exist, as far as this process knows."""
        return self._ledger.has(self.number)

    def closed(self) -> None:
        """The object is gone. Harmless in a process that did not open the record."""
        self._ledger.leave(self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A call that failed has made nothing. Whatever else is raised here comes from a signal's handler (Ctrl-C, a time
        # limit), perhaps after the call: then the record stays, and who looks for the object later finds it or does not.
        if is_failure(error):
            self.closed()
