"""Files in custody, some in a private directory of their own: the common part of FIFOs, mapped files and socket paths.

A file is identified by device, inode number and birth time, as inode numbers are reused. If the file system keeps no
birth time, a file at a user-chosen path must be unchanged. A file whose identity was not recorded before its creator
died must have been created right after the intent was recorded.

To add another type of file, call `files("name", "noun", is_type)`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from errno import ESTALE
from typing import Any, NamedTuple

from ...unpatched import os
from ..birth_time import born
from ..cleanup import failures_ignored
from ..private_folder import HOLD, remove_folder
from ..validators import Checks, is_number, is_optional, is_optional_text, is_text
from .kind import Entry, Kind

__all__ = ["FILES_MADE", "Found", "files", "is_older", "is_same", "look", "unlink", "was_born_then"]

_PRIVATE = re.compile(r"pytest-ipc-[0-9a-f]{16}")

# Longest time in seconds from the intent to the creating call.
SOON = 2.0

_TIME = is_number(0, 2**63 - 1)
_FILE: Checks = {"dev": is_number(0, 2**64 - 1), "ino": is_number(0, 2**64 - 1)}


def _is_folder(value: Any) -> bool:
    return isinstance(value, dict) and all(check(value.get(name)) for name, check in FILES_MADE.items())


# The identity of a file: `born` and `changed` in nanoseconds, `changed` only without a birth time.
FILES_MADE: Checks = {**_FILE, "born": is_optional(_TIME), "changed": is_optional(_TIME)}
_MADE: Checks = {**FILES_MADE, "folder": is_optional(_is_folder)}


class Found(NamedTuple):
    """A file as found: its status, and its birth time in nanoseconds if the file system keeps it."""

    status: os.stat_result
    born: int | None

    @classmethod
    def of(cls, fd: int) -> Found:
        """Return the file open as *fd*. Raises OSError."""
        return cls(os.fstat(fd), born(fd))

    def identity(self) -> dict[str, int]:
        """Return the identity to record."""
        status = self.status
        if self.born is None:
            return {"dev": status.st_dev, "ino": status.st_ino, "changed": status.st_ctime_ns}
        return {"dev": status.st_dev, "ino": status.st_ino, "born": self.born}


def look(path: str) -> Found | None:
    """Return the file at *path*; None if there is none. Raises OSError if this process may not search the path."""
    try:
        fd = os.open(path, HOLD)
    except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):
        return None
    try:
        return Found.of(fd)
    finally:
        os.close(fd)


def is_same(found: Found, made: dict[str, Any], *, unchanged: bool) -> bool:
    """Return whether *found* has the recorded identity *made*.

    With *unchanged*, a file without birth time must not have changed since, as its inode number may have been reused.
    """
    if (found.status.st_dev, found.status.st_ino) != (made["dev"], made["ino"]):
        return False
    if made.get("born") is not None:
        return bool(found.born == made["born"])
    return not unchanged or bool(found.status.st_ctime_ns == made.get("changed"))


def was_born_then(found: Found, at: float) -> bool:
    """Return whether the file was created within SOON after *at*, in seconds since the Epoch."""
    time = found.status.st_ctime_ns if found.born is None else found.born
    return not is_older(time, at) and time <= (at + SOON) * 1e9


def is_older(time: int, at: float) -> bool:
    """Return whether *time* in nanoseconds is before *at* in seconds, a float with a precision of about 240 ns."""
    return time < at * 1e9 - 1000


def files(
    name: str,
    noun: str,
    is_type: Callable[[int], bool],
    hold: Callable[[str, int], int | None] = lambda _name, _dir: None,
) -> Kind:
    """Return the kind for files whose mode *is_type* accepts; what *hold* opens stays open during a removal."""

    def prove(entry: Entry, found: Found) -> str | None:
        return _prove(entry, found, noun, is_type)

    def remove(entry: Entry, found: Found) -> None:
        if is_type(found.status.st_mode):
            unlink(entry.details["path"], found.status, hold)
        if entry.details.get("directory"):
            _remove_private(entry.details["directory"], (entry.made or {}).get("folder"))

    return Kind(
        name,
        _find,
        prove,
        remove,
        describe=lambda entry: f"{noun} {entry.details['path']}",
        needs={"path": is_text, "directory": is_optional_text},
        made=_MADE,
        lasting=True,
    )


def _find(entry: Entry) -> Found | None:
    for path in (entry.details["path"], entry.details.get("directory")):
        if path and (found := look(path)) is not None:
            return found
    return None


def _prove(entry: Entry, found: Found, noun: str, is_type: Callable[[int], bool]) -> str | None:
    path, directory, status = entry.details["path"], entry.details.get("directory"), found.status
    for name in (path, directory or "/"):
        if not os.path.isabs(name) or ".." in name.split("/"):
            return "its path is not absolute and without .."
    if directory and (os.path.dirname(path) != directory or not _PRIVATE.fullmatch(os.path.basename(directory))):
        return "it is not in a directory created for it"
    if status.st_uid != entry.details["uid"]:
        return f"it belongs to user {status.st_uid}"
    if stat.S_ISDIR(status.st_mode):
        return None if directory and not os.path.lexists(path) else "it is a directory"
    if not is_type(status.st_mode):
        return f"it is not a {noun}"
    if entry.made is not None and not is_same(found, entry.made, unchanged=not directory):
        return f"it is not the {noun} that was made"
    if entry.made is not None and found.born is not None:
        return None
    if is_older(status.st_ctime_ns, entry.details["at"]):
        return "it is older than the record"
    if entry.made is None and not directory:
        if status.st_size:
            # Writes to a file that existed before make it look younger than the record.
            return "it is not empty, and objects made here are empty until they are on record"
        if not was_born_then(found, entry.details["at"]):
            return "it was made too long after the record"
    return None


def _remove_private(path: str, made: dict[str, Any] | None) -> None:
    """Remove a private directory, with its contents if its recorded identity matches. Raises OSError."""
    try:
        fd = os.open(path, HOLD | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        if made is not None and is_same(Found.of(fd), made, unchanged=False):
            remove_folder(fd, path)
        else:
            os.rmdir(path)
    finally:
        os.close(fd)


def unlink(path: str, found: os.stat_result, hold: Callable[[str, int], int | None] = lambda _name, _dir: None) -> None:
    """Remove the file if it is still *found*; what *hold* opens stays open meanwhile. Raises OSError."""
    # By the directory's descriptor, as others may replace the directory by a symbolic link.
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    name, keeper = os.path.basename(path), None
    try:
        if not os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), found):
            raise OSError(ESTALE, "it has been replaced")
        with failures_ignored:  # it cannot be held, and is removed by its name alone
            keeper = hold(name, folder)
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)
        if keeper is not None:
            os.close(keeper)
