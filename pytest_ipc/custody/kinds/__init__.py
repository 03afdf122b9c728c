"""The kinds of objects in custody: how each is found from its record, verified, removed and described.

The reaper, the sweep and `status` use only this table. It imports under `python -I -S`, and loads ctypes only with the
first System V object. To add a kind, add a module here and a row below.
"""

from __future__ import annotations

from . import (
    fifo,
    lock_file,
    mapped_file,
    posix_mq,
    posix_sem,
    posix_shm,
    process,
    reserved,
    reserved_path,
    sysv_msg,
    sysv_sem,
    sysv_shm,
    unix_socket,
)
from .kind import Entry, Kind

__all__ = ["KINDS", "UNKNOWN", "Entry", "Kind"]

KINDS = {
    kind.name: kind
    for kind in (
        process.CHILDREN,
        sysv_shm.SEGMENTS,
        sysv_sem.SETS,
        sysv_msg.QUEUES,
        posix_shm.SHARED_MEMORY,
        fifo.FIFOS,
        mapped_file.MAPPED_FILES,
        lock_file.LOCK_FILES,
        unix_socket.SOCKETS,
        posix_sem.SEMAPHORES,
        posix_mq.QUEUES,
        reserved.NAMES,
        reserved.KEYS,
        reserved_path.PATHS,
    )
}

# Represents a kind of a later version, which can only be named.
UNKNOWN = Kind(
    "unknown",
    find=lambda _entry: None,
    prove=lambda _entry, _found: "its kind is not known to this version",
    remove=lambda _entry, _found: None,
    describe=lambda entry: f"object of unknown kind {entry.kind!r}",
    needs={},
    made={},
)
