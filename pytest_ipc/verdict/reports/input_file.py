"""Read the files that a command line names, reports and expectations: at most LIMIT bytes, and with a deadline.

A path may lead to /dev/zero, to a FIFO without a writer, or to a terminal.
"""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

from .atomic import own_descriptor

__all__ = ["LIMIT", "read"]

# Bytes. A report of the whole suite has about one million.
LIMIT = 64_000_000

# Seconds without a writer, or with a writer that does not write, before reading a FIFO or a terminal fails.
PATIENCE = 10.0

_CHUNK = 1 << 20


def read(path: Path) -> bytes:
    """Return the content of the file *path*. OSError, also for more than LIMIT bytes and for a silent FIFO.

    A descriptor of this process, such as /dev/stdin, is read without a deadline: the command line has opened it.
    """
    own = own_descriptor(path)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    handle = os.open(path, flags) if own is None else os.dup(own)
    try:
        return _content(handle, path, None if own is not None else PATIENCE * 1000)
    finally:
        os.close(handle)


def _content(handle: int, path: Path, patience: float | None) -> bytes:
    ready = select.poll()
    ready.register(handle, select.POLLIN)
    content = bytearray()
    while ready.poll(patience):
        try:
            chunk = os.read(handle, _CHUNK)
        except BlockingIOError:
            continue
        if not chunk:
            return bytes(content)
        content += chunk
        if len(content) > LIMIT:
            raise OSError(errno.EFBIG, f"it has more than {LIMIT // 1_000_000} MB", str(path))
    raise OSError(errno.ETIMEDOUT, f"nothing was written to it for {PATIENCE:g} seconds", str(path))
