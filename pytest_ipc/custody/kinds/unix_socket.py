"""UNIX sockets with a path in custody: files. Abstract sockets end with their last descriptor."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["SOCKETS"]

SOCKETS = files("unix-socket", "UNIX socket", stat.S_ISSOCK)
