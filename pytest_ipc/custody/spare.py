"""Descriptors for a cleanup in a process that has none left, such as that of a test that leaks them."""

from __future__ import annotations

import resource  # now: without a descriptor it could not be imported
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EMFILE
from functools import partial

from .cleanup import finish

__all__ = ["lacked_descriptors", "spare_descriptors"]

# A cleanup has a few open at once.
_SPARE = 32


def lacked_descriptors(error: BaseException) -> bool:
    """Return whether *error*, or one in its group, is the EMFILE of a call (open(2))."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(lacked_descriptors, error.exceptions))
    return isinstance(error, OSError) and error.errno == EMFILE


@contextmanager
def spare_descriptors() -> Iterator[None]:
    """Raise the soft limit RLIMIT_NOFILE (getrlimit(2)) within the block, if the hard limit permits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = soft + _SPARE if hard == resource.RLIM_INFINITY else min(soft + _SPARE, hard)
    try:
        with suppress(OSError, ValueError):  # a seccomp filter
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        yield
    finally:
        finish(partial(_restore, soft, hard))


def _restore(soft: int, hard: int) -> None:
    with suppress(OSError, ValueError):  # as above
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
