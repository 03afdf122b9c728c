"""Allocation for memory files, before the first store.

A file that was only given a size has no space yet. The store that finds its file system full is answered by SIGBUS, and
with the 64 MB that /dev/shm has in many containers that is the usual end; space that was asked for is there, or ENOSPC
says it is not.
"""

from __future__ import annotations

from errno import EINVAL, ENOSPC, ENOSYS, EOPNOTSUPP

from ..kernel.files import ftruncate, posix_fallocate
from ..unpatched import os

__all__ = ["allocate", "resize"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# A signal undoes what posix_fallocate has reached: with a timer that goes off often a large file would never be done.
# So after each signal the pieces are halved, down to this. Not before, for only the whole shows at once that there is
# not so much.
_LEAST = 1 << 16

_UNSUPPORTED = (EOPNOTSUPP, ENOSYS, EINVAL)


def allocate(fd: int, start: int, end: int, name: str) -> None:
    """Give the file space from *start* to *end*, and that size. OSError (ENOSPC where there is no space).

    A file system that cannot promise space gives it the size alone.
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
    """ftruncate(2), retried after a signal. OSError."""
    while True:
        try:
            return ftruncate(fd, size)
        except InterruptedError:
            continue


def _room(fd: int) -> str:
    there = os.fstatvfs(fd)
    free, whole = there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize
    return f"its file system has {free} bytes free of {whole}"
