"""The structures of the System V mechanisms: sysvipc(7), shmctl(2), semop(2), semctl(2)."""

from __future__ import annotations

from ctypes import Structure, c_int, c_long, c_short, c_size_t, c_uint, c_uint64, c_ulong, c_ushort
from functools import cache
from typing import Any

from .layout import known, structure, times
from .signal import sigval

__all__ = ["ipc_perm", "sembuf", "semid_ds", "seminfo", "semun", "shm_info", "shmid_ds", "shminfo"]


@cache
def ipc_perm() -> type[Structure]:
    """Return struct ipc_perm (ipc64_perm in the kernel): owner, creator, mode and sequence number of an object."""
    abi = known("ipc_perm")
    ids: list[tuple[str, Any]] = [("key", c_int), ("uid", c_uint), ("gid", c_uint), ("cuid", c_uint), ("cgid", c_uint)]
    if abi == "ppc64le":
        rest = [("mode", c_uint), ("seq", c_uint), ("pad1", c_uint), ("unused1", c_uint64), ("unused2", c_uint64)]
    elif abi == "s390x":
        rest = [("mode", c_uint), ("pad1", c_ushort), ("seq", c_ushort), ("unused1", c_ulong), ("unused2", c_ulong)]
    else:  # a 16-bit mode is followed by 16 bits of zero in the kernel; glibc declares both as one
        rest = [("mode", c_uint), ("seq", c_ushort), ("pad2", c_ushort), ("unused1", c_ulong), ("unused2", c_ulong)]
    return structure("ipc_perm", ids + rest)


@cache
def shmid_ds() -> type[Structure]:
    """Return struct shmid_ds (shmid64_ds in the kernel), for shmctl(2)."""
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
    """struct shminfo, filled by shmctl(IPC_INFO) with the limits of System V shared memory."""

    _fields_ = [(name, c_ulong) for name in ("shmmax", "shmmin", "shmmni", "shmseg", "shmall", "u1", "u2", "u3", "u4")]


class shm_info(Structure):  # noqa: N801 - the structure's own name
    """struct shm_info, filled by shmctl(SHM_INFO) with the usage of System V shared memory."""

    _fields_ = [
        ("used_ids", c_int),
        *((name, c_ulong) for name in ("shm_tot", "shm_rss", "shm_swp", "swap_attempts", "swap_successes")),
    ]


class sembuf(Structure):  # noqa: N801 - the structure's own name
    """struct sembuf: semop(2) takes an array of them."""

    _fields_ = [("sem_num", c_ushort), ("sem_op", c_short), ("sem_flg", c_short)]


@cache
def semid_ds() -> type[Structure]:
    """Return struct semid_ds (semid64_ds in the kernel), for semctl(2)."""
    abi = known("semid_ds")
    if abi == "x86_64":  # the only 64-bit machine that kept the second words of i386, unused
        stamps: list[tuple[str, Any]] = [
            ("otime", c_long),
            ("unused1", c_ulong),
            ("ctime", c_long),
            ("unused2", c_ulong),
        ]
    else:
        stamps = times(abi, "otime", "ctime")
    rest: list[tuple[str, Any]] = [("nsems", c_ulong), ("unused3", c_ulong), ("unused4", c_ulong)]
    return structure("semid_ds", [("perm", ipc_perm()), *stamps, *rest])


def semun(value: int) -> int:
    """Return union semun with val set, as a word: the integer has the offset that it has in union sigval."""
    return sigval(value)


class seminfo(Structure):  # noqa: N801 - the structure's own name
    """struct seminfo, filled by semctl(IPC_INFO) with limits and by semctl(SEM_INFO) with current usage as well."""

    _fields_ = [
        (name, c_int)
        for name in ("semmap", "semmni", "semmns", "semmnu", "semmsl", "semopm", "semume", "semusz", "semvmx", "semaem")
    ]
