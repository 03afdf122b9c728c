"""POSIX shared memory in custody: files in /dev/shm.

To add another mechanism with files there, call `in_dev_shm("name", "noun", prefix)`.
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
DRAWN = re.compile(r"/pytest-ipc-\d+-[0-9a-f]{16}")  # a random name by resources/names.py


def in_dev_shm(kind: str, noun: str, prefix: str = "") -> Kind:
    """Return the kind for objects whose file in /dev/shm is their name after *prefix*."""

    def place(entry: Entry) -> str:
        # Resolved, as it is a symbolic link on some systems.
        return f"{os.path.realpath(DIRECTORY)}/{prefix}{entry.details['name'].removeprefix('/')}"

    def find(entry: Entry) -> Found | None:
        return look(place(entry))

    def prove(entry: Entry, found: Found) -> str | None:
        name, status = entry.details["name"], found.status
        if not name.startswith("/") or "/" in name[1:]:
            return f"its name is not a valid name of {noun}"
        if not stat.S_ISREG(status.st_mode):
            return "it is not a regular file"
        if is_older(status.st_ctime_ns, entry.details["at"]):
            return "it is older than the record"
        if entry.made is not None:
            # The owner may differ: a test may have changed it.
            same = is_same(found, entry.made, unchanged=False)
            return None if same else f"it is not the {noun} that was made"
        if status.st_uid != entry.details["uid"]:
            return f"it belongs to user {status.st_uid}"
        if not DRAWN.fullmatch(name):
            if status.st_size:
                return "it is not empty, and objects made here are empty until they are on record"
            if not was_born_then(found, entry.details["at"]):
                return "it was made too long after the record"
        return None

    def remove(entry: Entry, found: Found) -> None:
        unlink(place(entry), found.status)

    return Kind(
        kind,
        find,
        prove,
        remove,
        describe=lambda entry: f"{noun} {entry.details['name']}",
        needs={"name": is_text},
        made=FILES_MADE,
    )


SHARED_MEMORY = in_dev_shm("posix-shm", "POSIX shared memory")
