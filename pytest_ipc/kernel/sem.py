"""System V semaphores: semget(2), semop(2), semctl(2)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from ctypes import Array, addressof, byref, c_int, c_size_t, c_ulong, c_ushort, c_void_p
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import abi
from .ipc import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, IpcPerm
from .libc import INT, SHORT, SIZE, UINT, USHORT, check_integer, function
from .times import Timespec

__all__ = [
    "GETALL",
    "GETNCNT",
    "GETPID",
    "GETVAL",
    "GETZCNT",
    "SEMVMX",
    "SEM_INFO",
    "SEM_STAT",
    "SEM_STAT_ANY",
    "SEM_UNDO",
    "SETALL",
    "SETVAL",
    "SemInfo",
    "SemLimits",
    "Sembuf",
    "SemidDs",
    "semctl",
    "semctl_getall",
    "semctl_info",
    "semctl_limits",
    "semctl_rmid",
    "semctl_set",
    "semctl_setall",
    "semctl_setval",
    "semctl_stat",
    "semget",
    "semop",
    "semtimedop",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SEM_UNDO = 0o10000

GETPID = 11
GETVAL = 12
GETALL = 13
GETNCNT = 14
GETZCNT = 15
SETVAL = 16
SETALL = 17
SEM_STAT = 18
SEM_INFO = 19
SEM_STAT_ANY = 20

SEMVMX = 32767  # the largest value of a semaphore; linux/sem.h defines it, no libc header does

_semget = function("semget", c_int, c_int, c_int, c_int)
semop_raw: Callable[..., int] = function("semop", c_int, c_int, c_void_p, c_size_t)
_semtimedop = function("semtimedop", c_int, c_int, c_void_p, c_size_t, c_void_p)
_semctl = function("semctl", c_int, c_int, c_int, c_int, c_ulong)


class Sembuf(NamedTuple):
    """struct sembuf (semop(2)): semaphore number, the number added to its value (0: wait until it is 0), flags."""

    num: int
    op: int
    flg: int = 0


@dataclass(frozen=True, slots=True)
class SemidDs:
    """struct semid_ds (semctl(2)): times in seconds since the Epoch, 0 for never.

    `id` is the set's identifier; SEM_STAT and SEM_STAT_ANY are called with an index and return it.
    """

    id: int
    perm: IpcPerm
    otime: int
    ctime: int
    nsems: int


@dataclass(frozen=True, slots=True)
class SemLimits:
    """struct seminfo (semctl(2), IPC_INFO) in the page's order; `highest` is the highest used index."""

    semmap: int
    semmni: int
    semmns: int
    semmnu: int
    semmsl: int
    semopm: int
    semume: int
    semusz: int
    semvmx: int
    semaem: int
    highest: int


@dataclass(frozen=True, slots=True)
class SemInfo:
    """struct seminfo (semctl(2), SEM_INFO): numbers of sets and semaphores; `highest` is the highest used index."""

    semusz: int
    semaem: int
    highest: int


def semget(key: int, nsems: int, semflg: int) -> int:
    """Return the id of the set with *key*, or of a new one of *nsems* semaphores (semget(2)). OSError."""
    result: int = _semget(key, nsems, semflg)
    return result


def semop(semid: int, sops: Sequence[tuple[int, ...]] | int, nsops: int | None = None) -> None:
    """Do all operations of *sops* atomically, waiting until that is possible (semop(2)). OSError, EINTR included.

    *sops* holds Sembufs or tuples of their members, or is the address of an array of *nsops*.
    """
    operations, count = _operations("semop", sops, nsops)
    semop_raw(semid, operations, count)


def semtimedop(
    semid: int,
    sops: Sequence[tuple[int, ...]] | int,
    timeout: float | c_void_p | None,
    nsops: int | None = None,
) -> None:
    """Do all operations of *sops*, waiting for at most *timeout* seconds (semop(2)). OSError: EAGAIN, EINTR.

    *timeout* may also be None, for ever, or the address of a timespec.
    """
    operations, count = _operations("semtimedop", sops, nsops)
    if timeout is None or isinstance(timeout, c_void_p):
        _semtimedop(semid, operations, count, timeout)
    else:
        _semtimedop(semid, operations, count, _AT_ONCE if timeout == 0 else byref(Timespec.of(timeout).pack()))


SEMBUF = struct.Struct("Hhh")  # struct sembuf on every machine
_AT_ONCE = byref(Timespec().pack())


def _operations(name: str, sops: Sequence[tuple[int, ...]] | int, nsops: int | None) -> tuple[int | bytes, int]:
    """Return a C array of *sops*, or the address that they are, and its length."""
    if isinstance(sops, int):
        check_integer(name, sops, SIZE)
        if nsops is None:
            raise TypeError(f"{name}: nsops must be given with an address, not None")
        return sops, nsops
    if nsops is not None and nsops > len(sops):
        raise ValueError(f"{name}: nsops must be at most {len(sops)}, the number of operations, not {nsops}")
    return b"".join([_sembuf(name, *operation) for operation in sops]), len(sops) if nsops is None else nsops


def _sembuf(name: str, num: int, op: int, flg: int = 0) -> bytes:
    try:
        return SEMBUF.pack(num, op, flg)
    except struct.error:
        for value, bounds in ((num, USHORT), (op, SHORT), (flg, SHORT)):
            check_integer(name, value, bounds)
        raise


def semctl(semid: int, semnum: int, cmd: int, arg: int = 0) -> int:
    """Call semctl(2) with *arg*, the word that carries union semun: an address, or a value where the ABI puts it.

    The typed functions below serve every command that needs an argument. OSError.
    """
    result: int = _semctl(semid, semnum, cmd, arg)
    return result


def semctl_setval(semid: int, semnum: int, value: int) -> None:
    """Set the value of a semaphore and clear its undo adjustments in all processes (semctl(2), SETVAL). OSError."""
    check_integer("semctl", value, INT)
    semctl(semid, semnum, SETVAL, abi.semun(value))


def semctl_getall(semid: int) -> list[int]:
    """Return the values of all semaphores of the set (semctl(2), GETALL). OSError."""
    values: Array[c_ushort] = (c_ushort * semctl_stat(semid).nsems)()
    semctl(semid, 0, GETALL, addressof(values))
    return list(values)


def semctl_setall(semid: int, values: Sequence[int]) -> None:
    """Set the values of all semaphores of the set (semctl(2), SETALL).

    OSError; ValueError for a wrong number of values.
    """
    nsems = semctl_stat(semid).nsems
    if len(values) != nsems:  # the kernel would read nsems values, beyond the array's end too
        raise ValueError(f"semctl: expected {nsems} values, got {len(values)}")
    for value in values:
        check_integer("semctl", value, USHORT)
    array: Array[c_ushort] = (c_ushort * nsems)(*values)
    semctl(semid, 0, SETALL, addressof(array))


def semctl_stat(semid: int, cmd: int = IPC_STAT) -> SemidDs:
    """Return the state of a set (semctl(2), IPC_STAT). OSError.

    With SEM_STAT and SEM_STAT_ANY as *cmd*, *semid* is an index.
    """
    ds: Any = abi.semid_ds()()
    result = semctl(semid, 0, cmd, addressof(ds))
    return SemidDs(
        semid if cmd == IPC_STAT else result,
        IpcPerm.read(ds.perm),
        abi.time_member(ds, "otime"),
        abi.time_member(ds, "ctime"),
        ds.nsems,
    )


def semctl_set(semid: int, *, uid: int | None = None, gid: int | None = None, mode: int | None = None) -> None:
    """Set owner, group and the low nine mode bits (semctl(2), IPC_SET). OSError.

    A value of None is kept: it is read with IPC_STAT first, which needs read permission, unless all three are given.
    """
    changes = {"uid": uid, "gid": gid, "mode": mode}
    for name, value in changes.items():
        if value is not None:
            check_integer("semctl", value, USHORT if name == "mode" else UINT)
    ds: Any = abi.semid_ds()()
    if None in changes.values():
        semctl(semid, 0, IPC_STAT, addressof(ds))
    for name, value in changes.items():
        if value is not None:
            setattr(ds.perm, name, value)
    semctl(semid, 0, IPC_SET, addressof(ds))


def semctl_rmid(semid: int) -> None:
    """Remove the set; waiting calls fail with EIDRM (semctl(2), IPC_RMID). OSError."""
    semctl(semid, 0, IPC_RMID)


def semctl_limits() -> SemLimits:
    """Return the limits of this IPC namespace (semctl(2), IPC_INFO). OSError."""
    info: Any = abi.seminfo()
    highest = semctl(0, 0, IPC_INFO, addressof(info))
    return SemLimits(**{name: getattr(info, name) for name, _ in info._fields_}, highest=highest)


def semctl_info() -> SemInfo:
    """Return the number of sets and semaphores of this IPC namespace (semctl(2), SEM_INFO). OSError."""
    info: Any = abi.seminfo()
    highest = semctl(0, 0, SEM_INFO, addressof(info))
    return SemInfo(info.semusz, info.semaem, highest)
