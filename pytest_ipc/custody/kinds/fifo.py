"""FIFOs in custody: files, and a process that waits in opening one is released when it is removed."""

from __future__ import annotations

import stat

from ...unpatched import os
from .file import files

__all__ = ["FIFOS"]


def _both_ends(name: str, folder: int) -> int:
    """A reader and a writer in one: whoever waits for the other side has it."""
    return os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


FIFOS = files("fifo", "FIFO", stat.S_ISFIFO, _both_ends)
