"""FIFOs in custody: files whose removal releases processes blocked in open(2)."""

from __future__ import annotations

import stat

from ...unpatched import os
from .file import files

__all__ = ["FIFOS"]


def _both_ends(name: str, folder: int) -> int:
    """Open both ends, which releases processes blocked in open(2) of either."""
    return os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


FIFOS = files("fifo", "FIFO", stat.S_ISFIFO, _both_ends)
