"""System V message queues in custody."""

from __future__ import annotations

from collections.abc import Iterator

from ..validators import is_number
from .sysv import Family, Found, sysv

__all__ = ["QUEUES", "family"]


def family() -> Family:
    """Return the calls of this type."""
    from ...kernel.msg import msgctl_rmid, msgctl_stat, msgget
    from ...kernel.proc import sysvipc_msg

    def found(id: int, key: int, mode: int, cuid: int, ctime: int, *uses: int) -> Found:
        return Found(id, key, mode & 0o777, cuid, ctime, used=any(uses))

    def rows() -> Iterator[Found]:
        for row in sysvipc_msg() or ():
            yield found(row.msqid, row.key, row.perms, row.cuid, row.ctime, row.stime, row.rtime, row.lspid, row.lrpid)

    def stat(id: int) -> Found:
        ds = msgctl_stat(id)
        return found(id, ds.perm.key, ds.perm.mode, ds.perm.cuid, ds.ctime, ds.stime, ds.rtime, ds.lspid, ds.lrpid)

    return Family(rows, stat, lambda key: msgget(key, 0), msgctl_rmid)


QUEUES = sysv("sysv-msg", "message queue", family, needs={"mode": is_number(0, 0o777)}, units={})
