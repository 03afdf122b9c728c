"""POSIX message queues in custody: found by name alone, as the directory that lists them is rarely mounted.

A name that was drawn at random and claimed with O_EXCL belongs to nobody else. Under a name of the caller's choice a queue is
known by its device and inode; before these are on record, by what it was to be made as, and the record says that there was no
queue of that name a moment before.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from errno import EACCES
from typing import Any

from ...unpatched import os
from ..validators import is_number, is_text
from .file import FILES_MADE, SOON
from .kind import Entry, Kind
from .posix_shm import DRAWN

__all__ = ["QUEUES"]


@dataclass(frozen=True)
class _Queue:
    """What the kernel says of a queue; nothing, where its mode keeps even its owner from looking."""

    status: os.stat_result | None
    size: tuple[int, int] | None


def _find(entry: Entry) -> _Queue | None:
    from ...kernel.posix_mq import mq_close, mq_getattr, mq_open

    try:
        try:
            fd = mq_open(entry.details["name"], os.O_RDONLY | os.O_NONBLOCK)
        except PermissionError:
            fd = mq_open(entry.details["name"], os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        return _Queue(None, None) if error.errno == EACCES and entry.details["name"].count("/") == 1 else None
    try:
        attr = mq_getattr(fd)
        return _Queue(os.fstat(fd), (attr.maxmsg, attr.msgsize))
    finally:
        mq_close(fd)


def _prove(entry: Entry, found: _Queue) -> str | None:
    details, made, status = entry.details, entry.made, found.status
    is_own = DRAWN.fullmatch(details["name"])
    if status is None:
        return None if is_own else "its mode keeps its owner from looking whose it is"
    if status.st_ctime < int(details["at"]):  # the clock of this file system has whole seconds
        return "it is older than the record"
    if made is not None:
        same = (status.st_dev, status.st_ino) == (made["dev"], made["ino"])
        return None if same else "it is another queue than the one that was made"
    if status.st_uid != details["uid"]:
        return f"it belongs to user {status.st_uid}"
    if not is_own and not _could_be(details, found.size, status):
        return "it is of another size or mode than the one that was to be made"
    if not is_own and status.st_ctime > details["at"] + SOON:
        return "it is younger than the record by more than it takes to make one"
    return None


def _could_be(details: dict[str, Any], size: tuple[int, int] | None, status: os.stat_result) -> bool:
    """Whether what was to be made would look so; of its mode the umask has taken some bits."""
    return size == (details["maxmsg"], details["msgsize"]) and not stat.S_IMODE(status.st_mode) & ~details["mode"]


def _remove(entry: Entry, _found: _Queue) -> None:
    from ...kernel.posix_mq import mq_unlink

    mq_unlink(entry.details["name"])


QUEUES = Kind(
    "posix-mq",
    _find,
    _prove,
    _remove,
    describe=lambda entry: f"POSIX message queue {entry.details['name']}",
    needs={
        "name": is_text,
        "maxmsg": is_number(1, 2**63 - 1),
        "msgsize": is_number(1, 2**63 - 1),
        "mode": is_number(0, 0o777),
        "ipc": is_text,
    },
    made=FILES_MADE,
    is_unique=lambda entry: DRAWN.fullmatch(entry.details["name"]) is not None,
)
