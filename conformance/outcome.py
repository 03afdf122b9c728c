"""The outcome of a call, of a specification or of the kernel: a value or an errno."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pytest_ipc.kernel import errno_name
from pytest_ipc.verdict.clause import ABSENT


@dataclass(frozen=True, slots=True)
class Fails:
    """The outcome of a call that failed; *error* is the kernel's OSError, None in a specification."""

    errno: int | None
    error: OSError | None = field(default=None, compare=False, repr=False)

    def as_error(self, call: str) -> OSError:
        """Return the error that *call* failed with, as our calls raise it."""
        return self.error or OSError(self.errno, f"{call}: {os.strerror(self.errno or 0)}")

    def in_words(self, past: bool = False) -> str:
        """Return the outcome in words."""
        return f"{'failed' if past else 'fail'} with {errno_name(self.errno)}"


@dataclass(frozen=True, slots=True)
class Gives:
    """The outcome of a call that returned."""

    value: Any = None

    def in_words(self, past: bool = False) -> str:
        """Return the outcome in words."""
        if self.value is None:
            return "returned" if past else "return"
        return f"{'gave' if past else 'give'} {self.value!r}"


Outcome = Fails | Gives


def outcome(call: Callable[[], Any]) -> Outcome:
    """Make the call and return its outcome. OSError if the platform lacks the call or it did not return in time."""
    try:
        return Gives(call())
    except OSError as error:
        if error.errno is None or error.errno in ABSENT:
            raise
        return Fails(error.errno, error)


def fails(errno: int) -> NoReturn:
    """Raise the error of a call that fails in the model."""
    raise OSError(errno, errno_name(errno))
