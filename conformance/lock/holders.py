"""Functions of children in the lock clauses: take a lock by a new open file description."""

from __future__ import annotations

import os

from pytest_ipc.kernel import F_SETLKW, RecordLock, fcntl_setlk, flock


def take(path: str | os.PathLike[str], lock: RecordLock, cmd: int = F_SETLKW) -> int:
    """Lock a new open file description of the file, opened for both, with fcntl(2); return its descriptor."""
    fd = os.open(path, os.O_RDWR)
    fcntl_setlk(fd, cmd, lock)
    return fd


def take_flock(path: str | os.PathLike[str], operation: int) -> int:
    """Lock a new open file description of the file with flock(2); return its descriptor."""
    fd = os.open(path, os.O_RDWR)
    flock(fd, operation)
    return fd
