"""System V semaphore sets in custody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..validators import is_number
from .sysv import Family, Found, sysv

__all__ = ["SETS", "family"]


def family() -> Family:
    """Return the calls of this type."""
    from ...kernel.proc import sysvipc_sem
    from ...kernel.sem import SEM_STAT_ANY, SemidDs, semctl_info, semctl_rmid, semctl_stat, semget

    def found(id: int, key: int, mode: int, nsems: int, cuid: int, otime: int, ctime: int) -> Found:
        return Found(id, key, mode & 0o777, cuid, ctime, {"nsems": nsems}, used=otime != 0)

    def of(ds: SemidDs) -> Found:
        return found(ds.id, ds.perm.key, ds.perm.mode, ds.nsems, ds.perm.cuid, ds.otime, ds.ctime)

    def rows() -> Iterator[Found]:
        listed = sysvipc_sem()
        for row in listed or ():
            yield found(row.semid, row.key, row.perms, row.nsems, row.cuid, row.otime, row.ctime)
        if listed is None:
            # As in gVisor: scan the kernel's table by SEM_STAT_ANY, which needs no permission.
            for index in range(semctl_info().highest + 1):
                with suppress(OSError):  # there is no set at this index
                    yield of(semctl_stat(index, SEM_STAT_ANY))

    def stat(id: int) -> Found:
        return of(semctl_stat(id))

    return Family(rows, stat, lambda key: semget(key, 0, 0), semctl_rmid)


SETS = sysv(
    "sysv-sem",
    "semaphore set",
    family,
    needs={"nsems": is_number(0, 2**31 - 1), "mode": is_number(0, 0o777)},
    units={"nsems": ("number of semaphores", "semaphores")},
)
