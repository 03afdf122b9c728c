"""What children do in clauses about locks: take one by an opening of their own, and hold it until they end."""

from __future__ import annotations

import os

from pytest_ipc.kernel import F_SETLKW, RecordLock, fcntl_setlk, flock


def take(path: str | os.PathLike[str], lock: RecordLock, cmd: int = F_SETLKW) -> int:
    """fcntl(2) on a new opening of the file, both ways; its descriptor, for a caller that goes on."""
    fd = os.open(path, os.O_RDWR)
    fcntl_setlk(fd, cmd, lock)
    return fd


def take_flock(path: str | os.PathLike[str], operation: int) -> int:
    """flock(2) on a new opening of the file."""
    fd = os.open(path, os.O_RDWR)
    flock(fd, operation)
    return fd
