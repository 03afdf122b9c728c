"""System V semaphores: semget(2), semop(2), semctl(2)."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Array, addressof, c_int, c_size_t, c_ulong, c_ushort, c_void_p
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

SEMVMX = 32767  # the greatest value of a semaphore; linux/sem.h has it, and no header of libc

_semget = function("semget", c_int, c_int, c_int, c_int)
_semop = function("semop", c_int, c_int, c_void_p, c_size_t)
_semtimedop = function("semtimedop", c_int, c_int, c_void_p, c_size_t, c_void_p)
_semctl = function("semctl", c_int, c_int, c_int, c_int, c_ulong)


class Sembuf(NamedTuple):
    """struct sembuf (semop(2)): semaphore number, what is added to its value (0: wait until it is 0), flags."""

    num: int
    op: int
    flg: int = 0


@dataclass(frozen=True, slots=True)
class SemidDs:
    """struct semid_ds (semctl(2)): times in seconds since the Epoch, 0 for never.

    `id` is the set's identifier: with SEM_STAT and SEM_STAT_ANY the call was made with an index and gave it.
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
    """What SEM_INFO (semctl(2)) puts into struct seminfo: sets and semaphores that exist; `highest` is the highest used index."""

    semusz: int
    semaem: int
    highest: int


def semget(key: int, nsems: int, semflg: int) -> int:
    """semget(2): the id of the set with *key*, or of a new one of *nsems* semaphores. OSError with the call's errno."""
    result: int = _semget(key, nsems, semflg)
    return result


def semop(semid: int, sops: Sequence[tuple[int, ...]] | int, nsops: int | None = None) -> None:
    """semop(2): do all of *sops*, Sembufs or tuples of their members, as one, or wait until that can be done.

    *sops* may also be the address of an array of *nsops*. OSError, EINTR included: nothing is retried.
    """
    address, count, _kept = _operations("semop", sops, nsops)
    _semop(semid, address, count)


def semtimedop(
    semid: int,
    sops: Sequence[tuple[int, ...]] | int,
    timeout: float | c_void_p | None,
    nsops: int | None = None,
) -> None:
    """semop(2): the same, waiting for *timeout* seconds at most, for ever if that is None; also the address of a timespec.

    OSError, EAGAIN when the time is over, EINTR included: nothing is retried.
    """
    address, count, _kept = _operations("semtimedop", sops, nsops)
    if timeout is None or isinstance(timeout, c_void_p):
        _semtimedop(semid, address, count, timeout)
        return
    time = Timespec.of(timeout).pack()
    _semtimedop(semid, address, count, addressof(time))


def _operations(name: str, sops: Sequence[tuple[int, ...]] | int, nsops: int | None) -> tuple[int, int, Any]:
    """The address and length of a C array of *sops*, and the array itself, which must live until the call returns."""
    if isinstance(sops, int):
        check_integer(name, sops, SIZE)
        if nsops is None:
            raise TypeError(f"{name}: an address says nothing of how many operations there are")
        return sops, nsops, None
    array = (abi.sembuf * len(sops))()
    for place, operation in zip(array, sops, strict=True):
        num, op, flg = Sembuf(*operation)
        for value, bounds in ((num, USHORT), (op, SHORT), (flg, SHORT)):
            check_integer(name, value, bounds)
        place.sem_num, place.sem_op, place.sem_flg = num, op, flg
    if nsops is not None and nsops > len(sops):
        raise ValueError(f"{name}: there are no {nsops} operations, but {len(sops)}")
    return addressof(array), len(sops) if nsops is None else nsops, array


def semctl(semid: int, semnum: int, cmd: int, arg: int = 0) -> int:
    """semctl(2) as it stands: *arg* is the word that carries union semun, an address, and a value as the
    ABI puts it there. The typed forms below serve every command that needs one.
    """
    result: int = _semctl(semid, semnum, cmd, arg)
    return result


def semctl_setval(semid: int, semnum: int, value: int) -> None:
    """semctl(2) with SETVAL: give the semaphore that value; adjustments that wait for processes' ends are forgotten. OSError."""
    check_integer("semctl", value, INT)
    semctl(semid, semnum, SETVAL, abi.semun(value))


def semctl_getall(semid: int) -> list[int]:
    """semctl(2) with GETALL: the values of all semaphores of the set. OSError."""
    values: Array[c_ushort] = (c_ushort * semctl_stat(semid).nsems)()
    semctl(semid, 0, GETALL, addressof(values))
    return list(values)


def semctl_setall(semid: int, values: Sequence[int]) -> None:
    """semctl(2) with SETALL: give each semaphore its value of *values*. OSError; ValueError unless there is one for each."""
    nsems = semctl_stat(semid).nsems
    if len(values) != nsems:  # the kernel takes as many as the set has, whatever lies behind the array's end
        raise ValueError(f"semctl: {len(values)} values are not one for each of {nsems} semaphores")
    for value in values:
        check_integer("semctl", value, USHORT)
    array: Array[c_ushort] = (c_ushort * nsems)(*values)
    semctl(semid, 0, SETALL, addressof(array))


def semctl_stat(semid: int, cmd: int = IPC_STAT) -> SemidDs:
    """semctl(2) with IPC_STAT, or SEM_STAT or SEM_STAT_ANY and an index for *semid*: what the kernel knows. OSError."""
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
    """semctl(2) with IPC_SET: change owner, group or the low nine mode bits; what is None stays. OSError.

    What stays has to be asked for first, which needs read permission; where all three are given nothing is asked.
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
    """semctl(2) with IPC_RMID: remove the set at once; whoever waits on it gets EIDRM. OSError."""
    semctl(semid, 0, IPC_RMID)


def semctl_limits() -> SemLimits:
    """semctl(2) with IPC_INFO: the limits, as the kernel holds them for this IPC namespace. OSError."""
    info: Any = abi.seminfo()
    highest = semctl(0, 0, IPC_INFO, addressof(info))
    return SemLimits(**{name: getattr(info, name) for name, _ in info._fields_}, highest=highest)


def semctl_info() -> SemInfo:
    """semctl(2) with SEM_INFO: how many sets and semaphores this IPC namespace has. OSError."""
    info: Any = abi.seminfo()
    highest = semctl(0, 0, SEM_INFO, addressof(info))
    return SemInfo(info.semusz, info.semaem, highest)
