"""A row of the table of kinds, and the open record that its functions receive.

find      return the object from its intent, and its identity if recorded; None if it does not exist
prove     return why the object found is not proven to be the recorded one; None if it is
remove    remove it
describe  return its description for users
needs     validators for the details of its intent
made      validators for the details of its identity
lasting   whether it can survive a reboot
is_unique whether its name or key is random, so that no other object has it in any namespace
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..validators import Checks

__all__ = ["Entry", "Kind"]


class Entry:
    """An open record: the details of its intent and, if recorded, its identity `made`.

    `pid` and `start` are the process id and start time of its creator.
    """

    def __init__(
        self,
        number: int,
        kind: str,
        details: dict[str, Any],
        made: dict[str, Any] | None = None,
        test: str | None = None,
        pid: int = 0,
        start: int = 0,
    ) -> None:
        self.number = number
        self.kind = kind
        self.details = details
        self.made = made
        self.test = test
        self.pid = pid
        self.start = start


class Kind(NamedTuple):
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
