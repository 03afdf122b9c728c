"""Notes on errors: the name and value of the limit that a call ran into."""

from __future__ import annotations

import math

from ..kernel.proc_limits import read_limit

__all__ = ["note_limits"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def note_limits(error: OSError, *names: str) -> None:
    """Add to *error* the value and manual page of each limit, named as in `pytest_ipc.limits()`."""
    for name in names:
        limit = read_limit(name)
        if limit.value is None:
            error.add_note(f"{name} cannot be read: {limit.reason}")
        else:
            value = "unlimited" if math.isinf(limit.value) else limit.value
            error.add_note(f"{name} is {value} ({limit.unit}; {limit.page})")
