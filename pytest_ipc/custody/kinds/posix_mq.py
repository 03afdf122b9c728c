"""POSIX message queues in custody: found by name, as the mqueue file system is rarely mounted.

A random name created with O_EXCL is unique. A queue with a name chosen by the caller is identified by device and inode;
before these are recorded, by its intended attributes, as the record shows that no queue had that name just before.
"""

from __future__ import annotations

import stat
from errno import EACCES
from typing import Any, NamedTuple

from ...unpatched import os
from ..validators import is_number, is_text
from .file import FILES_MADE, SOON
from .kind import Entry, Kind
from .posix_shm import DRAWN

__all__ = ["QUEUES"]


class _Queue(NamedTuple):
    """A queue as found; None for both if its mode denies even its owner access."""

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
        return None if is_own else "its mode denies its owner the access that would identify it"
    if status.st_ctime < int(details["at"]):  # the timestamps of this file system are in whole seconds
        return "it is older than the record"
    if made is not None:
        same = (status.st_dev, status.st_ino) == (made["dev"], made["ino"])
        return None if same else "it is not the queue that was made"
    if status.st_uid != details["uid"]:
        return f"it belongs to user {status.st_uid}"
    if not is_own and not _could_be(details, found.size, status):
        return "its size or mode is not that of the intended queue"
    if not is_own and status.st_ctime > details["at"] + SOON:
        return "it was made too long after the record"
    return None


def _could_be(details: dict[str, Any], size: tuple[int, int] | None, status: os.stat_result) -> bool:
    """Return whether size and mode are as intended; the umask may have cleared mode bits."""
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
