"""The names of errno values; where a number has two names, the one that the manual pages use (errno(3))."""

from __future__ import annotations

from errno import EDEADLK, EMFILE, ENFILE, ENOMEM, EOPNOTSUPP, errorcode

__all__ = ["errno_name"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# A call that fails with one of these could succeed later: it is not missing in the kernel.
EXHAUSTED: frozenset[int] = frozenset({EMFILE, ENFILE, ENOMEM})

_MANUALS = {EDEADLK: "EDEADLK", EOPNOTSUPP: "EOPNOTSUPP"}


def errno_name(errno: int | None) -> str:
    """Return the name of an errno, such as "EEXIST", or "errno N" if it has none."""
    return _MANUALS.get(errno or 0) or errorcode.get(errno or 0, f"errno {errno}")
