"""A file that is written whole or not at all: whatever stops a command, what was there before is there still."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["check_writable", "write"]


def check_writable(path: Path) -> None:
    """OSError unless a file can be written to *path*: asked before a long run, not after."""
    if path.is_dir():
        raise IsADirectoryError(21, "is a directory", str(path))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
        pass


def write(path: Path, text: str) -> None:
    """Write *text* to *path* by way of a temporary file beside it. OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        # A lone surrogate, which a message of the system may hold, has no bytes in UTF-8.
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # as open() would have made it
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
