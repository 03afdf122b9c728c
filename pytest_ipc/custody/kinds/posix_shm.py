"""POSIX objects that are files in /dev/shm, in custody: the number of a file there is not given again while the machine runs.

A row for another mechanism with files there is `in_dev_shm("name", "what people call it", prefix)`.
"""

from __future__ import annotations

import re
import stat

from ...unpatched import os
from ..checks import is_text
from .file import FILES_MADE, unlink
from .kind import Entry, Kind

__all__ = ["DIRECTORY", "DRAWN", "SHARED_MEMORY", "in_dev_shm"]

DIRECTORY = "/dev/shm"
DRAWN = re.compile(r"/pytest-ipc-\d+-[0-9a-f]{16}")  # by resources/names.py: nobody else can have chosen such a name


def in_dev_shm(kind: str, word: str, prefix: str = "") -> Kind:
    """The row for objects whose name in /dev/shm is their own with *prefix* before it."""

    def place(entry: Entry) -> str:
        # Where it leads: on some systems it is a link.
        return f"{os.path.realpath(DIRECTORY)}/{prefix}{entry.details['name'].removeprefix('/')}"

    def find(entry: Entry) -> os.stat_result | None:
        try:
            return os.lstat(place(entry))
        except (FileNotFoundError, UnicodeEncodeError):
            return None

    def prove(entry: Entry, found: os.stat_result) -> str | None:
        name = entry.details["name"]
        if not name.startswith("/") or "/" in name[1:]:
            return f"its name is not that of a {word}"
        if not stat.S_ISREG(found.st_mode):
            return f"it is no {word}"
        if found.st_ctime < entry.details["at"]:
            return "it is older than the record"
        if entry.made is not None:
            # Also when a test has given it to another user.
            same = (found.st_dev, found.st_ino) == (entry.made["dev"], entry.made["ino"])
            return None if same else f"it is another {word} than the one that was made"
        if found.st_uid != entry.details["uid"]:
            return f"it belongs to user {found.st_uid}"
        if found.st_size and not DRAWN.fullmatch(name):
            return "it holds something, and what was made here was empty until it was on record"
        return None

    def remove(entry: Entry, found: os.stat_result) -> None:
        unlink(place(entry), found)

    return Kind(
        kind,
        find,
        prove,
        remove,
        describe=lambda entry: f"{word} {entry.details['name']}",
        needs={"name": is_text},
        made=FILES_MADE,
    )


SHARED_MEMORY = in_dev_shm("posix-shm", "POSIX shared memory")
