"""The kinds of objects in custody: how each is found from its record, proved to be ours, removed and described.

The reaper, the sweep and `status` go over this table and know nothing else of any kind. Importable with `python -I -S`;
ctypes comes only with the first System V object. A kind is a row: a module here for each family, an entry below.
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
