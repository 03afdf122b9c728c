"""The temporary directory of a check, removed with it, and those of checks that were killed.

pytest keeps the files of three runs for people who look into them; a verdict needs none of them. And what pytest would take has
the user's name, and may be of another who has it: root of a container. While a check runs it holds a lock on its folder, which
the kernel takes away with the last process that has it. So a folder without one is nobody's, and a check a day later removes
it: a sandbox or another machine with the same files may have locks that are not seen here.
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
    """A new folder below the temporary files, removed at the end unless something is mounted there. OSError."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_if_nobodys(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks: there nobody else can have one either, and it is left
            flock(held, LOCK_SH)
        folder.chmod(0o711)  # clauses about other users run as them, there
        yield folder
    finally:
        os.close(held)
        _remove(folder)


def _remove_if_nobodys(folder: Path) -> None:
    """Remove what a check has left that was killed. OSError when one still runs there, or it may not be looked at."""
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
    """Whether something may be mounted below *folder*, so that what lies there is not only ours to remove.

    Clauses mount in namespaces of their own, which a platform may take for this one.
    """
    try:
        rows = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True
    # There the real path is told, with what would end a word as an octal number.
    below = re.sub(r"[ \t\n\\]", lambda letter: f"\\{ord(letter[0]):03o}", f"{os.path.realpath(folder)}/")
    return any(row.split()[4].startswith(below) for row in rows)
