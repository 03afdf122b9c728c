"""The structures of System V message queues (msgctl(2)); their members have the same order on every machine."""

from __future__ import annotations

from ctypes import Structure, c_int, c_ulong, c_ushort
from functools import cache

from .layout import known, structure, times
from .sysv import ipc_perm

__all__ = ["msginfo", "msqid_ds"]


@cache
def msqid_ds() -> type[Structure]:
    """Return struct msqid_ds (msqid64_ds in the kernel), for msgctl(2)."""
    abi = known("msqid_ds")
    return structure(
        "msqid_ds",
        [
            ("perm", ipc_perm()),
            *times(abi, "stime", "rtime", "ctime"),
            *((name, c_ulong) for name in ("cbytes", "qnum", "qbytes")),
            *((name, c_int) for name in ("lspid", "lrpid")),
            *((name, c_ulong) for name in ("unused4", "unused5")),
        ],
    )


class msginfo(Structure):  # noqa: N801 - the structure's own name
    """struct msginfo, filled by msgctl(IPC_INFO) with limits and by msgctl(MSG_INFO) with current usage."""

    _fields_ = [
        *((name, c_int) for name in ("msgpool", "msgmap", "msgmax", "msgmnb", "msgmni", "msgssz", "msgtql")),
        ("msgseg", c_ushort),
    ]
