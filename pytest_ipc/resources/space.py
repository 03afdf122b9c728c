"""Allocation for memory files, before the first store.

A new size alone allocates no space. A store into a full file system then raises SIGBUS, which is likely with the 64 MB
of /dev/shm in many containers; an explicit allocation succeeds, or fails with ENOSPC.
"""

from __future__ import annotations

from errno import EINVAL, ENOSPC, ENOSYS, EOPNOTSUPP

from ..kernel.files import ftruncate, posix_fallocate
from ..unpatched import os

__all__ = ["allocate", "resize"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# A signal reverts an unfinished posix_fallocate(): with a frequent timer a large file would never be allocated. So
# after each signal the pieces are halved, down to this size. The first attempt is whole, to detect ENOSPC at once.
_LEAST = 1 << 16

_UNSUPPORTED = (EOPNOTSUPP, ENOSYS, EINVAL)


def allocate(fd: int, start: int, end: int, name: str) -> None:
    """Allocate space from *start* to *end*, and set the size to *end*. Raises OSError (ENOSPC).

    On a file system without allocation only the size is set.
    """
    place, length = start, end - start
    try:
        while place < end:
            try:
                posix_fallocate(fd, place, min(length, end - place))
                place += length
            except InterruptedError:
                length = max(length // 2, _LEAST)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            resize(fd, end)
            return
        error.add_note(f"while giving {name} {end} bytes" + (f": {_room(fd)}" if error.errno == ENOSPC else ""))
        raise


def resize(fd: int, size: int) -> None:
    """Set the size of the file (ftruncate(2), retried after a signal). Raises OSError."""
    while True:
        try:
            return ftruncate(fd, size)
        except InterruptedError:
            continue


def _room(fd: int) -> str:
    there = os.fstatvfs(fd)
    free, whole = there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize
    return f"its file system has {free} bytes free of {whole}"
