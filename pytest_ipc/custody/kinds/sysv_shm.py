"""System V shared memory in custody: the id holds the slot's sequence number, so that a slot's next tenant has another one."""

from __future__ import annotations

from dataclasses import dataclass

from ..checks import is_number, is_text
from .kind import Entry, Kind

__all__ = ["SEGMENTS"]


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
    from ...kernel.proc import sysvipc_shm
    from ...kernel.shm import SHM_DEST, shmget

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
    from ...kernel.proc import sysvipc_shm
    from ...kernel.shm import shmctl_stat

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
    from ...kernel.shm import shmctl_rmid

    shmctl_rmid(found.id)


def _describe_segment(entry: Entry) -> str:
    id = f"id {entry.made['id']}, " if entry.made else ""
    return f"System V segment ({id}key {entry.details['key']:#x}, {entry.details['size']} bytes)"


SEGMENTS = Kind(
    "sysv-shm",
    _find_segment,
    _prove_segment,
    _remove_segment,
    _describe_segment,
    needs={"key": is_number(-(2**31), 2**31 - 1), "size": is_number(1, 2**63 - 1), "ipc": is_text},
    made={"id": is_number(0, 2**31 - 1)},
)
