"""Files to lock, in custody. The locks need no record: the kernel releases them with their last process."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["LOCK_FILES"]

LOCK_FILES = files("lock-file", "lock file", stat.S_ISREG)
