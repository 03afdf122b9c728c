"""FIFOs in custody: files, and whoever waits in opening one is let go when it goes."""

from __future__ import annotations

import stat

from ...unpatched import os
from .file import files

__all__ = ["FIFOS"]


def _both_ends(name: str, folder: int) -> int:
    """A reader and a writer in one: whoever waits for the other side has it."""
    return os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


FIFOS = files("fifo", "FIFO", stat.S_ISFIFO, _both_ends)
