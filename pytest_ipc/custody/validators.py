"""Validators for the values of a record, as a ledger may hold any JSON: booleans, infinities, huge integers."""

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
    """Return a validator for integers from *lowest* to *highest*."""
    return lambda value: type(value) is int and lowest <= value <= highest


def is_bool(value: Any) -> bool:
    """Return whether *value* is a boolean."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Return whether *value* is a string without NUL, as system calls require."""
    return isinstance(value, str) and "\0" not in value


def is_optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a validator that accepts what *check* accepts, and None."""
    return lambda value: value is None or check(value)


def is_optional_text(value: Any) -> bool:
    """Return whether *value* is a string without NUL, or None."""
    return value is None or is_text(value)


def is_time(value: Any) -> bool:
    """Return whether *value* is a plausible time in seconds since the Epoch."""
    return type(value) is float and 0 <= value < 2**37


PROCESS: Checks = {"pid": is_number(1, 2**31 - 1), "start": is_number(0, 2**63 - 1)}
CHILD: Checks = {**PROCESS, "pid": is_number(2, 2**31 - 1)}  # neither init nor a process group
