"""Files to lock, in custody. The locks themselves need none: the kernel drops them with the last process that holds them."""

from __future__ import annotations

import stat

from .file import files

__all__ = ["LOCK_FILES"]

LOCK_FILES = files("lock-file", "lock file", stat.S_ISREG)
