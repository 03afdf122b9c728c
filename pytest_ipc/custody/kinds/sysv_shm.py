"""System V shared memory in custody: the kernel reports the creator of a segment."""

from __future__ import annotations

from collections.abc import Iterator

from ..validators import is_number
from .sysv import Family, Found, sysv

__all__ = ["SEGMENTS", "family"]


def family() -> Family:
    """Return the calls of this type."""
    from ...kernel.proc import sysvipc_shm
    from ...kernel.shm import SHM_DEST, shmctl_rmid, shmctl_stat, shmget

    def found(id: int, key: int, mode: int, size: int, cuid: int, cpid: int, ctime: int) -> Found:
        pending = mode & SHM_DEST
        return Found(id, None if pending else key, mode & 0o777, cuid, ctime, {"size": size}, cpid)

    def rows() -> Iterator[Found]:
        for row in sysvipc_shm() or ():
            yield found(row.shmid, row.key, row.perms, row.size, row.cuid, row.cpid, row.ctime)

    def stat(id: int) -> Found:
        ds = shmctl_stat(id)
        return found(id, ds.perm.key, ds.perm.mode, ds.segsz, ds.perm.cuid, ds.cpid, ds.ctime)

    return Family(rows, stat, lambda key: shmget(key, 0, 0), shmctl_rmid)


SEGMENTS = sysv(
    "sysv-shm",
    "segment",
    family,
    needs={"size": is_number(0, 2**63 - 1)},
    units={"size": ("size", "bytes")},
)
