"""POSIX objects that are files in /dev/shm, in custody: tmpfs does not reuse inode numbers, other file systems do.

A row for another mechanism with files there is `in_dev_shm("name", "what people call it", prefix)`.
"""

from __future__ import annotations

import re
import stat

from ...unpatched import os
from ..validators import is_text
from .file import FILES_MADE, Found, is_older, is_same, look, unlink, was_born_then
from .kind import Entry, Kind

__all__ = ["DIRECTORY", "DRAWN", "SHARED_MEMORY", "in_dev_shm"]

DIRECTORY = "/dev/shm"
DRAWN = re.compile(r"/pytest-ipc-\d+-[0-9a-f]{16}")  # by resources/names.py: nobody else can have chosen such a name


def in_dev_shm(kind: str, word: str, prefix: str = "") -> Kind:
    """The row for objects whose name in /dev/shm is their own with *prefix* before it."""

    def place(entry: Entry) -> str:
        # Where it leads: on some systems it is a link.
        return f"{os.path.realpath(DIRECTORY)}/{prefix}{entry.details['name'].removeprefix('/')}"

    def find(entry: Entry) -> Found | None:
        return look(place(entry))

    def prove(entry: Entry, found: Found) -> str | None:
        name, status = entry.details["name"], found.status
        if not name.startswith("/") or "/" in name[1:]:
            return f"its name is not that of a {word}"
        if not stat.S_ISREG(status.st_mode):
            return f"it is no {word}"
        if is_older(status.st_ctime_ns, entry.details["at"]):
            return "it is older than the record"
        if entry.made is not None:
            # Also when a test has given it to another user.
            same = is_same(found, entry.made, unchanged=False)
            return None if same else f"it is another {word} than the one that was made"
        if status.st_uid != entry.details["uid"]:
            return f"it belongs to user {status.st_uid}"
        if not DRAWN.fullmatch(name):
            if status.st_size:
                return "it holds something, and what was made here was empty until it was on record"
            if not was_born_then(found, entry.details["at"]):
                return "it is younger than the record by more than it takes to make one"
        return None

    def remove(entry: Entry, found: Found) -> None:
        unlink(place(entry), found.status)

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
