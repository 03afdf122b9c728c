"""Try a call in a forked child to find out, without side effects, whether it is permitted."""

from __future__ import annotations

from collections.abc import Callable

from ..custody.run_in_child import NoAnswer, run_in_child
from ..unpatched import os

__all__ = ["trial"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def trial(call: Callable[[], object]) -> OSError | None:
    """Return the error of *call* in a forked child; None if it succeeds. Raises OSError if fork(2) fails."""

    def task() -> int | None:
        try:
            call()
        except OSError as error:
            if not error.errno:
                raise
            return error.errno
        return None

    try:
        errno: int | None = run_in_child(task)
    except NoAnswer as failure:
        return OSError(None, f"the trial call failed: {failure.strerror}")
    return None if errno is None else OSError(errno, os.strerror(errno))
