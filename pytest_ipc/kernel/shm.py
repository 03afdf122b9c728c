"""System V shared memory: shmget(2), shmop(2), shmctl(2)."""

from __future__ import annotations

from ctypes import addressof, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from typing import Any

from . import abi
from .ipc import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, IpcPerm
from .libc import UINT, USHORT, check_address, check_integer, function

__all__ = [
    "SHM_DEST",
    "SHM_EXEC",
    "SHM_HUGETLB",
    "SHM_HUGE_SHIFT",
    "SHM_INFO",
    "SHM_LOCK",
    "SHM_LOCKED",
    "SHM_NORESERVE",
    "SHM_RDONLY",
    "SHM_REMAP",
    "SHM_RND",
    "SHM_STAT",
    "SHM_STAT_ANY",
    "SHM_UNLOCK",
    "ShmInfo",
    "ShmLimits",
    "ShmidDs",
    "shmat",
    "shmctl",
    "shmctl_info",
    "shmctl_limits",
    "shmctl_rmid",
    "shmctl_set",
    "shmctl_stat",
    "shmdt",
    "shmget",
    "shmlba",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SHM_HUGETLB = 0o4000
SHM_HUGE_SHIFT = 26
SHM_NORESERVE = 0o10000

SHM_RDONLY = 0o10000
SHM_RND = 0o20000
SHM_REMAP = 0o40000
SHM_EXEC = 0o100000

SHM_LOCK = 11
SHM_UNLOCK = 12
SHM_STAT = 13
SHM_INFO = 14
SHM_STAT_ANY = 15

SHM_DEST = 0o1000
SHM_LOCKED = 0o2000

_FAILED = c_void_p(-1).value  # ctypes returns (void *)-1 as an unsigned number

_shmget = function("shmget", c_int, c_int, c_size_t, c_int)
_shmat = function("shmat", c_void_p, c_int, c_void_p, c_int, fails=lambda address: address == _FAILED)
_shmdt = function("shmdt", c_int, c_void_p)
_shmctl = function("shmctl", c_int, c_int, c_int, c_void_p)


@dataclass(frozen=True, slots=True)
class ShmidDs:
    """struct shmid_ds (shmctl(2)): sizes in bytes, times in seconds since the Epoch, 0 for never.

    `id` is the segment's identifier; SHM_STAT and SHM_STAT_ANY are called with an index and return it.
    """

    id: int
    perm: IpcPerm
    segsz: int
    atime: int
    dtime: int
    ctime: int
    cpid: int
    lpid: int
    nattch: int


@dataclass(frozen=True, slots=True)
class ShmLimits:
    """struct shminfo (shmctl(2), IPC_INFO): `shmmax`, `shmmin` in bytes, `shmall` in pages, the others in segments.

    `highest` is the highest used index.
    """

    shmmax: int
    shmmin: int
    shmmni: int
    shmseg: int
    shmall: int
    highest: int


@dataclass(frozen=True, slots=True)
class ShmInfo:
    """struct shm_info (shmctl(2), SHM_INFO): the number of segments; their pages in total, in memory and in swap."""

    used_ids: int
    shm_tot: int
    shm_rss: int
    shm_swp: int
    highest: int


def shmget(key: int, size: int, shmflg: int) -> int:
    """Return the id of the segment with *key*, or of a new one of *size* bytes (shmget(2)). OSError."""
    result: int = _shmget(key, size, shmflg)
    return result


def shmat(shmid: int, shmaddr: int | None = None, shmflg: int = 0) -> int:
    """Attach the segment at *shmaddr*, or where the kernel chooses, and return the address (shmop(2)). OSError."""
    check_address("shmat", shmaddr)
    result: int | None = _shmat(shmid, shmaddr, shmflg)
    return result or 0  # ctypes returns a null pointer as None; SHM_RND can round down to address 0


def shmdt(shmaddr: int) -> None:
    """Detach the segment attached at *shmaddr* (shmop(2)). OSError: EINVAL if there is none."""
    check_address("shmdt", shmaddr)
    _shmdt(shmaddr)


def shmctl(shmid: int, cmd: int, buf: int | None = None) -> int:
    """Call shmctl(2) with *buf*, an address or None. OSError.

    The typed functions below serve every command that fills a buffer.
    """
    check_address("shmctl", buf)
    result: int = _shmctl(shmid, cmd, buf)
    return result


def shmctl_stat(shmid: int, cmd: int = IPC_STAT) -> ShmidDs:
    """Return the state of a segment (shmctl(2), IPC_STAT). OSError.

    With SHM_STAT and SHM_STAT_ANY as *cmd*, *shmid* is an index.
    """
    ds: Any = abi.shmid_ds()()
    result = shmctl(shmid, cmd, addressof(ds))
    return ShmidDs(
        shmid if cmd == IPC_STAT else result,
        IpcPerm.read(ds.perm),
        ds.segsz,
        abi.time_member(ds, "atime"),
        abi.time_member(ds, "dtime"),
        abi.time_member(ds, "ctime"),
        ds.cpid,
        ds.lpid,
        ds.nattch,
    )


def shmctl_set(shmid: int, *, uid: int | None = None, gid: int | None = None, mode: int | None = None) -> None:
    """Set owner, group and the low nine mode bits (shmctl(2), IPC_SET). OSError.

    A value of None is kept; it is read with IPC_STAT first, which needs read permission.
    """
    changes = {name: value for name, value in (("uid", uid), ("gid", gid), ("mode", mode)) if value is not None}
    for name, value in changes.items():
        # The width of struct ipc_perm's mode on some machines.
        check_integer("shmctl", value, USHORT if name == "mode" else UINT)
    ds: Any = abi.shmid_ds()()
    shmctl(shmid, IPC_STAT, addressof(ds))
    for name, value in changes.items():
        setattr(ds.perm, name, value)
    shmctl(shmid, IPC_SET, addressof(ds))


def shmctl_rmid(shmid: int) -> None:
    """Mark the segment to be destroyed after its last detach (shmctl(2), IPC_RMID). OSError."""
    shmctl(shmid, IPC_RMID)


def shmctl_limits() -> ShmLimits:
    """Return the limits of this IPC namespace (shmctl(2), IPC_INFO). OSError."""
    info = abi.shminfo()
    highest = shmctl(0, IPC_INFO, addressof(info))
    return ShmLimits(info.shmmax, info.shmmin, info.shmmni, info.shmseg, info.shmall, highest)


def shmctl_info() -> ShmInfo:
    """Return the usage by all segments of this IPC namespace (shmctl(2), SHM_INFO). OSError."""
    info = abi.shm_info()
    highest = shmctl(0, SHM_INFO, addressof(info))
    return ShmInfo(info.used_ids, info.shm_tot, info.shm_rss, info.shm_swp, highest)


def shmlba() -> int:
    """Return SHMLBA in bytes, the alignment of attach addresses (shmop(2)).

    It is the page size, but four pages of 4 KiB on 32-bit Arm.
    """
    from mmap import PAGESIZE

    return 4 * PAGESIZE if abi.machine() == "arm" else PAGESIZE
