"""Validation of a record's values. A ledger may hold any JSON: booleans, infinities, numbers of any length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "CHILD",
    "PROCESS",
    "Checks",
    "is_bool",
    "is_number",
    "is_optional",
    "is_optional_text",
    "is_text",
    "is_time",
]

Checks = Mapping[str, Callable[[Any], bool]]


def is_number(lowest: int, highest: int) -> Callable[[Any], bool]:
    """A check for an integer from *lowest* to *highest*."""
    return lambda value: type(value) is int and lowest <= value <= highest


def is_bool(value: Any) -> bool:
    """Whether *value* is true or false."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Whether *value* is a string that a system call could be given."""
    return isinstance(value, str) and "\0" not in value


def is_optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A check for what *check* accepts, or null, or nothing."""
    return lambda value: value is None or check(value)


def is_optional_text(value: Any) -> bool:
    """Whether *value* is such a string, or null."""
    return value is None or is_text(value)


def is_time(value: Any) -> bool:
    """Whether *value* is a time in seconds since the Epoch, in this millennium or the next few."""
    return type(value) is float and 0 <= value < 2**37


PROCESS: Checks = {"pid": is_number(1, 2**31 - 1), "start": is_number(0, 2**63 - 1)}
CHILD: Checks = {**PROCESS, "pid": is_number(2, 2**31 - 1)}  # nobody's child is process 1, or 0, or a group
