"""The temporary directory of a check, removed with it, and those of checks that were killed.

pytest keeps the files of three runs for inspection; a verdict needs none. And the name of pytest's directory has the
user's name, which may exist twice: root of a container. During a check its directory is locked; the kernel releases the
lock with the last process that has it. A directory without a lock is unused, and a later check removes it after a day:
locks of a sandbox or another machine on the same files may be invisible here.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH
from pathlib import Path

from ...kernel.locks import flock

__all__ = ["temporary_folder"]

_PREFIX = "pytest-ipc-check-"
_DAY = 24 * 3600  # seconds


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a directory below the temporary directory and remove it at the end, unless something is mounted in it.

    OSError.
    """
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or removed meanwhile
            _remove_if_nobodys(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks: the directory then has none either, and is kept
            flock(held, LOCK_SH)
        folder.chmod(0o711)  # clauses about other users run as them, in it
        yield folder
    finally:
        os.close(held)
        _remove(folder)


def _remove_if_nobodys(folder: Path) -> None:
    """Remove the directory of a killed check. OSError if the check still runs, or it is not accessible."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(held)
        if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _DAY:
            flock(held, LOCK_EX | LOCK_NB)
            _remove(folder)
    finally:
        os.close(held)


def _remove(folder: Path) -> None:
    if not _is_mounted_on(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _is_mounted_on(folder: Path) -> bool:
    """Return whether something may be mounted in *folder*, whose contents must not be removed then.

    Clauses mount in their own namespaces, which a platform may confuse with this one.
    """
    try:
        rows = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True
    # The file has the real path, with separators as octal escapes.
    below = re.sub(r"[ \t\n\\]", lambda letter: f"\\{ord(letter[0]):03o}", f"{os.path.realpath(folder)}/")
    return any(row.split()[4].startswith(below) for row in rows)
