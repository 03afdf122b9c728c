"""A row of the table of kinds, and the open record that its functions get.

find      the object's handle from its intent, and its identity if it was recorded; None when there is no such object
prove     why the handle is not the recorded object, or None when it is: what is not proved is left alone and named
remove    end it
describe  what people read
needs     what the details of its intent must be
made      what the details of its identity must be
lasting   whether it can be there after the machine has been started anew
is_unique whether its name or key was drawn at random, so that no other object can have it, in whatever namespace
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..validators import Checks

__all__ = ["Entry", "Kind"]


@dataclass
class Entry:
    """An open record as it is read: what was intended, and, if that was recorded, what was made."""

    number: int
    kind: str
    details: dict[str, Any]
    made: dict[str, Any] | None = None
    test: str | None = None
    pid: int = 0  # of the process that made it, and when that started
    start: int = 0


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    name: str
    find: Callable[[Entry], Any]
    prove: Callable[[Entry, Any], str | None]
    remove: Callable[[Entry, Any], None]
    describe: Callable[[Entry], str]
    needs: Checks
    made: Checks
    lasting: bool = False
    is_unique: Callable[[Entry], bool] = lambda _entry: False
