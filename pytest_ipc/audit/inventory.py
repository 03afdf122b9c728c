"""Every IPC object that this process can see: System V objects of its IPC namespace, POSIX objects of its mounts."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ..kernel.proc import sysvipc_msg, sysvipc_sem, sysvipc_shm
from ..kernel.sem import GETNCNT, GETPID, GETZCNT, semctl
from ..unpatched import os
from .users import Users

__all__ = ["SHM_DIRECTORY", "IpcObject", "inventory"]

SHM_DIRECTORY = "/dev/shm"
MQ_DIRECTORY = "/dev/mqueue"
_ASKED = 1000  # semaphores of a set that are queried for their last user


@dataclass(frozen=True)
class IpcObject:
    """An IPC object of the system.

    `size` is in bytes, for a semaphore set the number of semaphores. `changed` is the time of its creation, last change
    or last use, in seconds since the epoch, as far as the kernel records them. `users` are the processes that have it
    attached, mapped or open, or wait for it; `last_users` created it or used it last and may be dead. `identity`
    distinguishes it from a later object of the same name.
    """

    kind: str
    label: str
    size: int
    uid: int
    mode: int
    changed: float
    creator: int | None
    last_users: frozenset[int]
    users: frozenset[int]
    identity: tuple[int, int]
    name: str = ""
    key: int = 0  # of a System V object
    creator_uid: int | None = None  # of a System V object

    @property
    def id(self) -> int:
        """The identifier of a System V object."""
        return self.identity[0]


def inventory(users: Users) -> tuple[list[IpcObject], list[str]]:
    """Return all objects, and one sentence for each kind that cannot be listed here."""
    found, unseen = [*_segments(users), *_sets(), *_queues(), *_shared_memory(users)], []
    if sysvipc_shm() is None:
        unseen.append("System V objects cannot be listed: /proc/sysvipc does not exist")
    if _is_mount(MQ_DIRECTORY):
        found += _posix_queues(users)
    else:
        unseen.append(f"POSIX message queues cannot be listed: mount -t mqueue none {MQ_DIRECTORY} makes them visible")
    return found, unseen


def _segments(users: Users) -> Iterator[IpcObject]:
    for row in sysvipc_shm() or ():
        label = f"System V segment {row.shmid} (key {row.key & 0xFFFF_FFFF:#x}, {row.size} bytes)"
        attached = frozenset(users.segments.get(row.shmid, ()))
        if row.nattch and not attached:
            attached = frozenset({0})  # by processes that are not visible here
        yield IpcObject(
            "sysv-shm",
            label,
            row.size,
            row.uid,
            row.perms & 0o777,
            max(row.atime, row.dtime, row.ctime),
            row.cpid or None,
            frozenset({row.cpid, row.lpid} - {0}),
            attached,
            (row.shmid, row.ctime),
            key=row.key,
            creator_uid=row.cuid,
        )


def _sets() -> Iterator[IpcObject]:
    for row in sysvipc_sem() or ():
        last, waiting = set[int](), False
        try:
            for number in range(min(row.nsems, _ASKED)):
                last.add(semctl(row.semid, number, GETPID))
                waiting |= bool(semctl(row.semid, number, GETNCNT) or semctl(row.semid, number, GETZCNT))
        except OSError:
            pass  # not readable for this user, or removed by now: its users are unknown
        yield IpcObject(
            "sysv-sem",
            f"System V semaphore set {row.semid} (key {row.key & 0xFFFF_FFFF:#x}, {row.nsems} semaphores)",
            row.nsems,
            row.uid,
            row.perms & 0o777,
            max(row.otime, row.ctime),
            None,
            frozenset(last - {0}),
            frozenset({0} if waiting else ()),
            (row.semid, row.ctime),
            key=row.key,
            creator_uid=row.cuid,
        )


def _queues() -> Iterator[IpcObject]:
    for row in sysvipc_msg() or ():
        yield IpcObject(
            "sysv-msg",
            f"System V message queue {row.msqid} (key {row.key & 0xFFFF_FFFF:#x}, {row.qnum} messages)",
            row.cbytes,
            row.uid,
            row.perms & 0o777,
            max(row.stime, row.rtime, row.ctime),
            None,
            frozenset({row.lspid, row.lrpid} - {0}),
            frozenset(),
            (row.msqid, row.ctime),
            key=row.key,
            creator_uid=row.cuid,
        )


def _shared_memory(users: Users) -> Iterator[IpcObject]:
    for name, status in _files(SHM_DIRECTORY):
        if name.startswith("sem.") and len(name) > 4:
            yield _file("posix-sem", f"POSIX semaphore /{name[4:]}", name, status, users)
        else:
            label = f"POSIX shared memory /{name} ({status.st_size} bytes)"
            yield _file("posix-shm", label, name, status, users)


def _posix_queues(users: Users) -> Iterator[IpcObject]:
    for name, status in _files(MQ_DIRECTORY):
        yield _file("posix-mq", f"POSIX message queue /{name}", name, status, users)


def _file(kind: str, label: str, name: str, status: os.stat_result, users: Users) -> IpcObject:
    return IpcObject(
        kind,
        label,
        status.st_size,
        status.st_uid,
        stat.S_IMODE(status.st_mode),
        max(status.st_ctime, status.st_mtime),
        None,
        frozenset(),
        frozenset(users.files.get((status.st_dev, status.st_ino), ())),
        (status.st_dev, status.st_ino),
        name,
    )


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        try:
            status = os.stat(f"{folder}/{name}", follow_symlinks=False)
        except OSError:
            continue  # removed by now
        if stat.S_ISREG(status.st_mode):
            yield name, status


def _is_mount(folder: str) -> bool:
    try:
        return os.stat(folder).st_dev != os.stat(f"{folder}/..").st_dev
    except OSError:
        return False
