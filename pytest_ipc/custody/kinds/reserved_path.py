"""Reserved paths in custody: a private directory with a mark in it, removed with all its contents."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["PATHS"]

PATHS = files("reserved-path", "mark of a reserved path", stat.S_ISREG)
