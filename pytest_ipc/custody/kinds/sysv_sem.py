"""System V semaphore sets in custody."""

from __future__ import annotations

from collections.abc import Iterator

from ..checks import is_number
from .sysv import Family, Found, sysv

__all__ = ["SETS"]


def _family() -> Family:
    from ...kernel.proc import sysvipc_sem
    from ...kernel.sem import semctl_rmid, semctl_stat, semget

    def found(id: int, key: int, mode: int, nsems: int, cuid: int, otime: int, ctime: int) -> Found:
        return Found(id, key, mode & 0o777, cuid, ctime, {"nsems": nsems}, used=otime != 0)

    def rows() -> Iterator[Found]:
        for row in sysvipc_sem() or ():
            yield found(row.semid, row.key, row.perms, row.nsems, row.cuid, row.otime, row.ctime)

    def stat(id: int) -> Found:
        ds = semctl_stat(id)
        return found(id, ds.perm.key, ds.perm.mode, ds.nsems, ds.perm.cuid, ds.otime, ds.ctime)

    return Family(rows, stat, lambda key: semget(key, 0, 0), semctl_rmid)


SETS = sysv(
    "sysv-sem",
    "semaphore set",
    _family,
    needs={"nsems": is_number(1, 2**31 - 1), "mode": is_number(0, 0o777)},
    words={"nsems": ("number of semaphores", "semaphores")},
)
