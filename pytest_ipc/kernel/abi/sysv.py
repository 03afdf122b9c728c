"""The structures of the System V mechanisms: sysvipc(7), shmctl(2)."""

from __future__ import annotations

from ctypes import Structure, c_int, c_size_t, c_uint, c_uint64, c_ulong, c_ushort
from functools import cache
from typing import Any

from .layout import known, structure, times

__all__ = ["ipc_perm", "shm_info", "shmid_ds", "shminfo"]


@cache
def ipc_perm() -> type[Structure]:
    """struct ipc_perm (ipc64_perm in the kernel): owner, creator, mode and sequence number of a System V object."""
    abi = known("ipc_perm")
    ids: list[tuple[str, Any]] = [("key", c_int), ("uid", c_uint), ("gid", c_uint), ("cuid", c_uint), ("cgid", c_uint)]
    if abi == "ppc64le":
        rest = [("mode", c_uint), ("seq", c_uint), ("pad1", c_uint), ("unused1", c_uint64), ("unused2", c_uint64)]
    elif abi == "s390x":
        rest = [("mode", c_uint), ("pad1", c_ushort), ("seq", c_ushort), ("unused1", c_ulong), ("unused2", c_ulong)]
    else:  # where the kernel's mode is 16 bits wide it is followed by 16 bits of zero, and glibc declares both as one
        rest = [("mode", c_uint), ("seq", c_ushort), ("pad2", c_ushort), ("unused1", c_ulong), ("unused2", c_ulong)]
    return structure("ipc_perm", ids + rest)


@cache
def shmid_ds() -> type[Structure]:
    """struct shmid_ds (shmid64_ds in the kernel), for shmctl(2)."""
    abi = known("shmid_ds")
    size: list[tuple[str, Any]] = [("segsz", c_size_t)]
    stamps = times(abi, "atime", "dtime", "ctime")
    return structure(
        "shmid_ds",
        [("perm", ipc_perm())]
        + (stamps + size if abi == "ppc64le" else size + stamps)
        + [("cpid", c_int), ("lpid", c_int), ("nattch", c_ulong), ("unused4", c_ulong), ("unused5", c_ulong)],
    )


class shminfo(Structure):  # noqa: N801 - the structure's own name
    """struct shminfo, filled by shmctl(IPC_INFO): limits of System V shared memory."""

    _fields_ = [(name, c_ulong) for name in ("shmmax", "shmmin", "shmmni", "shmseg", "shmall", "u1", "u2", "u3", "u4")]


class shm_info(Structure):  # noqa: N801 - the structure's own name
    """struct shm_info, filled by shmctl(SHM_INFO): what System V shared memory uses."""

    _fields_ = [
        ("used_ids", c_int),
        *((name, c_ulong) for name in ("shm_tot", "shm_rss", "shm_swp", "swap_attempts", "swap_successes")),
    ]
