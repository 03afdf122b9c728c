"""POSIX named semaphores in custody: files of libc in /dev/shm, identified by device and inode.

Before these are recorded, a semaphore is identified by its name of 64 random bits; and before it has that name, during
sem_open(3), by the random initial value in its record.
"""

from __future__ import annotations

import re
import stat
import struct
from contextlib import suppress
from errno import ENOENT

from ...unpatched import fcntl, os, signal
from ..validators import is_number, is_optional_text, is_text
from .file import FILES_MADE, Found, is_older, is_same, look, unlink
from .kind import Entry, Kind
from .posix_shm import DIRECTORY, DRAWN

__all__ = ["SEMAPHORES", "path_of"]

_PREFIXES = ("sem.", "")  # glibc's, musl's
_PLAIN = re.compile(r"/[^/]+", re.DOTALL)
_UNFINISHED = re.compile(r"sem\.[0-9A-Za-z]{6}|tmp-\d+")  # glibc's and musl's temporary names

_Files = dict[str, Found]


def path_of(name: str) -> str:
    """Return the path of the file of semaphore *name* for this libc. Raises FileNotFoundError."""
    for prefix in _PREFIXES:
        path = f"{os.path.realpath(DIRECTORY)}/{prefix}{name[1:]}"
        with suppress(FileNotFoundError):  # it may have the next prefix
            os.lstat(path)
            return path
    raise FileNotFoundError(ENOENT, f"there is no such semaphore in {os.path.realpath(DIRECTORY)}", name)


def _find(entry: Entry) -> _Files | None:
    """Return every name of the file: its own, its published name, and libc's temporary name."""
    own, name = entry.details["own"], entry.details["name"]
    found = _file_of(own)
    if entry.made is None:
        found |= _unfinished(entry)  # it is not published yet, so another object has that name
    elif name is not None:
        # It may not have been published, and another object may have the name.
        made = entry.made
        found |= {path: file for path, file in _file_of(name).items() if is_same(file, made, unchanged=False)}
    return found or None


def _file_of(name: str) -> _Files:
    if _PLAIN.fullmatch(name):
        with suppress(FileNotFoundError, UnicodeEncodeError):  # there is none; no file can have the name
            path = path_of(name)
            if (found := look(path)) is not None:
                return {path: found}
    return {}


def _unfinished(entry: Entry) -> _Files:
    found: _Files = {}
    with suppress(OSError):  # there is no /dev/shm here
        for name in filter(_UNFINISHED.fullmatch, os.listdir(DIRECTORY)):
            path = f"{os.path.realpath(DIRECTORY)}/{name}"
            with suppress(OSError):  # gone meanwhile, or another user's, so not of this record
                file = look(path)
                if file and _is_plain(entry, file.status) and _was_being_made(path, entry.details["tag"]):
                    found[path] = file
    return found


def _is_plain(entry: Entry, status: os.stat_result) -> bool:
    mine = status.st_uid == entry.details["uid"] and not is_older(status.st_ctime_ns, entry.details["at"])
    return stat.S_ISREG(status.st_mode) and mine


def _was_being_made(path: str, tag: int) -> bool:
    """Return whether the file holds the value *tag*, or is empty and open nowhere, so it cannot become a semaphore.

    A write lease succeeds only if no other process, in any namespace, has the file open. Raises OSError otherwise.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        head = os.read(fd, 8)
        if not head:
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # an open(2) now sends this signal, which is harmless
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return os.fstat(fd).st_size == 0
        words = struct.unpack("=2I", head.ljust(8, b"\0"))
        return tag in words or tag << 1 in words  # without 64-bit atomics the lowest bit is a flag
    finally:
        os.close(fd)


def _prove(entry: Entry, found: _Files) -> str | None:
    if not DRAWN.fullmatch(entry.details["own"]):
        return "its name is not one that pytest-ipc draws"
    for file in found.values():
        status = file.status
        if not stat.S_ISREG(status.st_mode):
            return "it is not a regular file"
        if is_older(status.st_ctime_ns, entry.details["at"]):
            return "it is older than the record"
        if entry.made is not None:
            if not is_same(file, entry.made, unchanged=False):
                return "it is not the semaphore that was made"
        elif status.st_uid != entry.details["uid"]:
            return f"it belongs to user {status.st_uid}"
    return None


def _remove(_entry: Entry, found: _Files) -> None:
    for path, file in found.items():
        with suppress(FileNotFoundError):  # gone meanwhile
            unlink(path, file.status)


SEMAPHORES = Kind(
    "posix-sem",
    _find,
    _prove,
    _remove,
    describe=lambda entry: f"POSIX semaphore {entry.details['name'] or entry.details['own']}",
    needs={"own": is_text, "name": is_optional_text, "tag": is_number(1, 2**30 - 1)},
    made=FILES_MADE,
)
