"""Mapped files in custody: regular files; existing mappings survive the removal of the name."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["MAPPED_FILES"]

MAPPED_FILES = files("mapped-file", "mapped file", stat.S_ISREG)
