"""The kinds of objects in custody: how each is found from its record, proved to be ours, removed and described.

The reaper, the sweep and `status` go over this table and know nothing else of any kind. Importable with `python -I -S`;
ctypes comes only with the first System V object.

    find      the object's handle from its intent, and its identity if it was recorded; None when there is no such object
    prove     why the handle is not the recorded object, or None when it is: what is not proved is left alone and named
    remove    end it
    describe  what people read
    needs     what the details of its intent must be
    made      what the details of its identity must be
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..kernel.waiting import Deadline
from .checks import CHILD, Checks, is_number, is_optional_text, is_text
from .identity import TAGS, Process, start_of, stat_of, tag_of, tagged

__all__ = ["KINDS", "UNKNOWN", "Entry", "Kind"]


@dataclass
class Entry:
    """An open record as it is read: what was intended, and, if that was recorded, what was made."""

    number: int
    kind: str
    details: dict[str, Any]
    made: dict[str, Any] | None = None
    test: str | None = None
    pid: int = 0  # of the process that made it, and when that started
    start: int = 0


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    name: str
    find: Callable[[Entry], Any]
    prove: Callable[[Entry, Any], str | None]
    remove: Callable[[Entry, Any], None]
    describe: Callable[[Entry], str]
    needs: Checks
    made: Checks


# System V shared memory: the id holds the slot's sequence number, so that a slot's next tenant has another one.


@dataclass(frozen=True)
class _Segment:
    """What the kernel says of a segment; its key reads 0 once removal is pending."""

    id: int
    key: int
    size: int
    cpid: int
    cuid: int
    ctime: int


def _find_segment(entry: Entry) -> _Segment | None:
    from ..kernel.proc import sysvipc_shm
    from ..kernel.shm import SHM_DEST, shmget

    if entry.made is not None:
        return _segment(entry.made["id"])
    if entry.details["key"]:
        try:
            return _segment(shmget(entry.details["key"], 0, 0))
        except FileNotFoundError:
            return None
    # IPC_PRIVATE, and killed between the call and its record: whoever made it is on the kernel's record.
    for row in sysvipc_shm() or ():
        is_it = (row.key, row.cpid, row.size) == (0, entry.pid, entry.details["size"])
        if is_it and row.ctime >= int(entry.details["at"]) and not row.perms & SHM_DEST:
            return _Segment(row.shmid, row.key, row.size, row.cpid, row.cuid, row.ctime)
    return None


def _segment(shmid: int) -> _Segment | None:
    """The segment with that id; None if there is none. PermissionError if there is one and nothing shows what it is."""
    from ..kernel.proc import sysvipc_shm
    from ..kernel.shm import shmctl_stat

    try:
        found = shmctl_stat(shmid)
    except PermissionError:
        # Its mode may keep its own owner from looking, and not from removing it. Here everybody may look.
        for row in sysvipc_shm() or ():
            if row.shmid == shmid:
                return _Segment(row.shmid, row.key, row.size, row.cpid, row.cuid, row.ctime)
        raise
    except OSError:
        return None
    return _Segment(shmid, found.perm.key, found.segsz, found.cpid, found.perm.cuid, found.ctime)


def _prove_segment(entry: Entry, found: _Segment) -> str | None:
    wanted = {
        "creating process": (entry.pid, found.cpid),
        "creating user": (entry.details["uid"], found.cuid),
        "size": (entry.details["size"], found.size),
    }
    if found.key:
        wanted["key"] = (entry.details["key"], found.key)
    for what, (recorded, seen) in wanted.items():
        if recorded != seen:
            return f"its {what} is {seen} and not {recorded}"
    if found.ctime < int(entry.details["at"]):
        return "it is older than the record"
    return None


def _remove_segment(_entry: Entry, found: _Segment) -> None:
    from ..kernel.shm import shmctl_rmid

    shmctl_rmid(found.id)


def _describe_segment(entry: Entry) -> str:
    id = f"id {entry.made['id']}, " if entry.made else ""
    return f"System V segment ({id}key {entry.details['key']:#x}, {entry.details['size']} bytes)"


# FIFOs, with the private directory that some are in.


def _find_fifo(entry: Entry) -> Any:
    for path in (entry.details["path"], entry.details.get("directory")):
        if path:
            with suppress(OSError, UnicodeEncodeError):
                return os.lstat(path)
    return None


_PRIVATE = re.compile(r"pytest-ipc-[0-9a-f]{16}")


def _prove_fifo(entry: Entry, found: os.stat_result) -> str | None:
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
    if not stat.S_ISFIFO(found.st_mode):
        return "it is no FIFO"
    if entry.made is not None and (found.st_dev, found.st_ino) != (entry.made["dev"], entry.made["ino"]):
        return "it is another FIFO than the one that was made"
    if found.st_ctime < entry.details["at"]:
        return "it is older than the record"
    return None


def _remove_fifo(entry: Entry, found: os.stat_result) -> None:
    path, directory = entry.details["path"], entry.details.get("directory")
    if stat.S_ISFIFO(found.st_mode):
        # By its directory's descriptor: whoever may write above it can put a link to elsewhere in its directory's place.
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        name, keeper = os.path.basename(path), None
        try:
            if not os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), found):
                raise OSError(errno.ESTALE, "it has been exchanged")
            with suppress(OSError):  # whoever waits for the other side is let go
                keeper = os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)
            if keeper is not None:
                os.close(keeper)
    if directory:
        os.rmdir(directory)


def _describe_fifo(entry: Entry) -> str:
    return f"FIFO {entry.details['path']}"


# Children, with all below them: whoever has the record's tag, wherever it has put itself.


def _find_child(entry: Entry) -> Any:
    found = {pid for pid in tagged(entry.details["tag"]) if not is_zombie(pid)}
    if entry.made is not None and Process(**entry.made).alive():
        found.add(entry.made["pid"])
    return found or None


def _prove_child(entry: Entry, found: set[int]) -> str | None:
    # Each one is asked again when it is ended, once a pidfd has pinned who it is.
    if Process.current().pid in found:
        return "it is this very process"
    if entry.made is not None and entry.made["start"] < entry.start:
        return "it is older than the process that started it"
    return None


def _remove_child(entry: Entry, found: set[int]) -> None:
    def is_ours(pid: int) -> bool:
        made = entry.made or {}
        return tag_of(pid) == entry.details["tag"] or (pid, start_of(pid)) == (made.get("pid"), made.get("start"))

    # One of them may fork while the list is gone through: again, until all that is left is zombies. But one may also be
    # another user's by now, or asleep where no signal reaches it.
    for _ in Deadline(PATIENCE).rounds():
        for pid in found:
            end_process(pid, is_ours)
        found = _find_child(entry)
        if not found:
            return
    raise OSError(errno.ETIMEDOUT, f"process {min(found)} cannot be ended")


# Seconds. A process that was sent SIGKILL is gone in far less.
PATIENCE = 2.0


def is_zombie(pid: int) -> bool:
    """Whether the process has ended: a zombie, or gone altogether."""
    found = stat_of(pid)
    return found is None or found[0] in "ZX"


def end_process(pid: int, is_ours: Callable[[int], bool]) -> None:
    """SIGKILL a process through a pidfd, after asking *is_ours* once the pidfd has pinned whom one asks about."""
    if pid <= 1:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):  # no pidfd_open: as near to the question as it can be
        if is_ours(pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return
    try:
        if is_ours(pid):
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)


def _describe_child(entry: Entry) -> str:
    return f"child process {entry.made['pid']}" if entry.made else "child process"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("process", _find_child, _prove_child, _remove_child, _describe_child, {"tag": is_number(*TAGS)}, CHILD),
        Kind(
            "sysv-shm",
            _find_segment,
            _prove_segment,
            _remove_segment,
            _describe_segment,
            {"key": is_number(-(2**31), 2**31 - 1), "size": is_number(1, 2**63 - 1), "ipc": is_text},
            {"id": is_number(0, 2**31 - 1)},
        ),
        Kind(
            "fifo",
            _find_fifo,
            _prove_fifo,
            _remove_fifo,
            _describe_fifo,
            {"path": is_text, "directory": is_optional_text},
            {"dev": is_number(0, 2**64 - 1), "ino": is_number(0, 2**64 - 1)},
        ),
    )
}

# In the place of a kind that a later version knows: it can be named, and nothing else.
UNKNOWN = Kind(
    "unknown",
    find=lambda _entry: None,
    prove=lambda _entry, _found: "its kind is not known here",
    remove=lambda _entry, _found: None,
    describe=lambda entry: f"object of unknown kind {entry.kind!r}",
    needs={},
    made={},
)
