"""Mapped files in custody: regular files; who has one mapped keeps the memory when the name goes."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["MAPPED_FILES"]

MAPPED_FILES = files("mapped-file", "mapped file", stat.S_ISREG)
