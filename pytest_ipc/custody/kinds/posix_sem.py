"""POSIX named semaphores in custody: files of libc in /dev/shm, each identified by device and inode.

Before these are on record it is known by the name that it was made under, 64 random bits that belong to nobody else; and
before it has even that, while sem_open(3) is at work, by the random value that the record says it was made with.
"""

from __future__ import annotations

import re
import stat
import struct
from contextlib import suppress

from ...unpatched import fcntl, os, signal
from ..validators import is_number, is_optional_text, is_text
from .file import FILES_MADE, Found, is_older, is_same, look, unlink
from .kind import Entry, Kind
from .posix_shm import DIRECTORY, DRAWN

__all__ = ["SEMAPHORES", "path_of"]

_PREFIXES = ("sem.", "")  # glibc's, musl's
_PLAIN = re.compile(r"/[^/]+", re.DOTALL)
_UNFINISHED = re.compile(r"sem\.[0-9A-Za-z]{6}|tmp-\d+")  # glibc's, musl's, while they make one

_Files = dict[str, Found]


def path_of(name: str) -> str:
    """The file of the semaphore *name*, as this libc has it. FileNotFoundError."""
    for prefix in _PREFIXES:
        path = f"{os.path.realpath(DIRECTORY)}/{prefix}{name[1:]}"
        with suppress(FileNotFoundError):
            os.lstat(path)
            return path
    raise FileNotFoundError(2, f"there is no such semaphore in {os.path.realpath(DIRECTORY)}", name)


def _find(entry: Entry) -> _Files | None:
    """Every name of the file: its own, the one that it was published under, and libc's while it was made."""
    own, name = entry.details["own"], entry.details["name"]
    found = _file_of(own)
    if entry.made is None:
        found |= _unfinished(entry)  # and published it cannot be yet: who has that name is somebody else
    elif name is not None:
        # It may not have been published either, and who has the name now may be somebody else.
        made = entry.made
        found |= {path: file for path, file in _file_of(name).items() if is_same(file, made, unchanged=False)}
    return found or None


def _file_of(name: str) -> _Files:
    if _PLAIN.fullmatch(name):
        with suppress(FileNotFoundError, UnicodeEncodeError):
            path = path_of(name)
            if (found := look(path)) is not None:
                return {path: found}
    return {}


def _unfinished(entry: Entry) -> _Files:
    found: _Files = {}
    with suppress(OSError):
        for name in filter(_UNFINISHED.fullmatch, os.listdir(DIRECTORY)):
            path = f"{os.path.realpath(DIRECTORY)}/{name}"
            with suppress(OSError):
                file = look(path)
                if file and _is_plain(entry, file.status) and _was_being_made(path, entry.details["tag"]):
                    found[path] = file
    return found


def _is_plain(entry: Entry, status: os.stat_result) -> bool:
    mine = status.st_uid == entry.details["uid"] and not is_older(status.st_ctime_ns, entry.details["at"])
    return stat.S_ISREG(status.st_mode) and mine


def _was_being_made(path: str, tag: int) -> bool:
    """Whether it holds the value *tag*; or nothing at all while nobody has it open, and so cannot become a semaphore any more.

    Only a file that nobody else has open, in whatever namespace, can be given a write lease. OSError if somebody has.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        head = os.read(fd, 8)
        if not head:
            fcntl.fcntl(
                fd, fcntl.F_SETSIG, signal.SIGURG
            )  # who opens it now has us told by a signal: by one that does no harm
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return os.fstat(fd).st_size == 0
        words = struct.unpack("=2I", head.ljust(8, b"\0"))
        return tag in words or tag << 1 in words  # where atomic words are narrow the lowest bit is a flag
    finally:
        os.close(fd)


def _prove(entry: Entry, found: _Files) -> str | None:
    if not DRAWN.fullmatch(entry.details["own"]):
        return "its name was not made for it"
    for file in found.values():
        status = file.status
        if not stat.S_ISREG(status.st_mode):
            return "it is no semaphore"
        if is_older(status.st_ctime_ns, entry.details["at"]):
            return "it is older than the record"
        if entry.made is not None:
            if not is_same(file, entry.made, unchanged=False):
                return "it is another semaphore than the one that was made"
        elif status.st_uid != entry.details["uid"]:
            return f"it belongs to user {status.st_uid}"
    return None


def _remove(_entry: Entry, found: _Files) -> None:
    for path, file in found.items():
        with suppress(FileNotFoundError):
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
