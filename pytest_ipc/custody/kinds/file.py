"""Files in custody, each with the private directory that some are in: what FIFOs, mapped files and socket paths share.

A row for another type of file is `files("name", "what people call it", is_type)`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..checks import is_number, is_optional_text, is_text
from .kind import Entry, Kind

__all__ = ["files"]

_PRIVATE = re.compile(r"pytest-ipc-[0-9a-f]{16}")


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
            _unlink(entry.details["path"], found, hold)
        if entry.details.get("directory"):
            os.rmdir(entry.details["directory"])

    return Kind(
        name,
        _find,
        prove,
        remove,
        describe=lambda entry: f"{word} {entry.details['path']}",
        needs={"path": is_text, "directory": is_optional_text},
        made={"dev": is_number(0, 2**64 - 1), "ino": is_number(0, 2**64 - 1)},
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
    return None


def _unlink(path: str, found: os.stat_result, hold: Callable[[str, int], int | None]) -> None:
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
