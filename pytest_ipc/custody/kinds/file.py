"""Files in custody, each with the private directory that some are in: what FIFOs, mapped files and socket paths share.

A row for another type of file is `files("name", "what people call it", is_type)`.
"""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...unpatched import os
from ..checks import Checks, is_number, is_optional_text, is_text
from .kind import Entry, Kind

__all__ = ["FILES_MADE", "files", "unlink"]

_PRIVATE = re.compile(r"pytest-ipc-[0-9a-f]{16}")

# The identity of a file.
FILES_MADE: Checks = {"dev": is_number(0, 2**64 - 1), "ino": is_number(0, 2**64 - 1)}


def files(
    name: str,
    word: str,
    is_type: Callable[[int], bool],
    hold: Callable[[str, int], int | None] = lambda _name, _dir: None,
) -> Kind:
    """The row for files of one type, given by a function of their mode; *hold* opens what must be open while one goes."""

    def prove(entry: Entry, found: os.stat_result) -> str | None:
        return _prove(entry, found, word, is_type)

    def remove(entry: Entry, found: os.stat_result) -> None:
        if is_type(found.st_mode):
            unlink(entry.details["path"], found, hold)
        if entry.details.get("directory"):
            os.rmdir(entry.details["directory"])

    return Kind(
        name,
        _find,
        prove,
        remove,
        describe=lambda entry: f"{word} {entry.details['path']}",
        needs={"path": is_text, "directory": is_optional_text},
        made=FILES_MADE,
        lasting=True,
    )


def _find(entry: Entry) -> Any:
    for path in (entry.details["path"], entry.details.get("directory")):
        if path:
            with suppress(OSError, UnicodeEncodeError):
                return os.lstat(path)
    return None


def _prove(entry: Entry, found: os.stat_result, word: str, is_type: Callable[[int], bool]) -> str | None:
    path, directory = entry.details["path"], entry.details.get("directory")
    for name in (path, directory or "/"):
        if not os.path.isabs(name) or ".." in name.split("/"):
            return "its path is not absolute and plain"
    if directory and (os.path.dirname(path) != directory or not _PRIVATE.fullmatch(os.path.basename(directory))):
        return "it is not in a directory that was made for it"
    if found.st_uid != entry.details["uid"]:
        return f"it belongs to user {found.st_uid}"
    if stat.S_ISDIR(found.st_mode):
        return None if directory and not os.path.lexists(path) else "it is a directory"
    if not is_type(found.st_mode):
        return f"it is no {word}"
    if entry.made is not None and (found.st_dev, found.st_ino) != (entry.made["dev"], entry.made["ino"]):
        return f"it is another {word} than the one that was made"
    if found.st_ctime < entry.details["at"]:
        return "it is older than the record"
    if entry.made is None and not directory and found.st_size:
        # A file that was there before is written to by its owner, which makes it younger than the record.
        return "it holds something, and what was made here was empty until it was on record"
    return None


def unlink(path: str, found: os.stat_result, hold: Callable[[str, int], int | None] = lambda _name, _dir: None) -> None:
    """Remove the file, if it is still the one that was found; what *hold* opens is open while it goes. OSError."""
    # By its directory's descriptor: whoever may write above it can put a link to elsewhere in its directory's place.
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    name, keeper = os.path.basename(path), None
    try:
        if not os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), found):
            raise OSError(errno.ESTALE, "it has been exchanged")
        with suppress(OSError):
            keeper = hold(name, folder)
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)
        if keeper is not None:
            os.close(keeper)
