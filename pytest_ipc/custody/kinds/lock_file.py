"""Lock files in custody. Locks need no record, as the kernel releases them with their processes."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["LOCK_FILES"]

LOCK_FILES = files("lock-file", "lock file", stat.S_ISREG)
