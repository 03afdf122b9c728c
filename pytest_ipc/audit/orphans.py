"""Orphans: IPC objects that no living process uses, each with the evidence; and their removal."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..kernel import proc
from ..kernel.msg import msgctl_rmid, msgctl_stat
from ..kernel.posix_mq import mq_unlink
from ..kernel.sem import semctl_rmid, semctl_stat
from ..kernel.shm import shmctl_rmid, shmctl_stat
from ..unpatched import os, time
from .inventory import MQ_DIRECTORY, SHM_DIRECTORY, IpcObject
from .origin import command_of
from .users import Users, find_users, is_alive

__all__ = ["Judged", "judge", "obstacle", "remove"]

FOLDERS = {"posix-shm": SHM_DIRECTORY, "posix-sem": SHM_DIRECTORY, "posix-mq": MQ_DIRECTORY}

_FOWNER, _SYS_ADMIN = 1 << 3, 1 << 21  # CAP_FOWNER, CAP_SYS_ADMIN


@dataclass(frozen=True)
class Judged:
    """An object, whether it is an orphan, and why or why not."""

    object: IpcObject
    orphan: bool
    why: str
    is_young: bool = False  # it would be an orphan if it were older


def judge(
    objects: Iterable[IpcObject], users: Users, owned: Mapping[str, str] | None = None, older_than: float = 0
) -> list[Judged]:
    """Judge *objects*: an orphan is unused for *older_than* seconds and provably has no living user.

    *owned* gives the owner of those on record in a ledger, as custody.status.owners() does.
    """
    now = time.time()
    return [_judge(each, users, owned or {}, now - older_than) for each in objects]


def _judge(found: IpcObject, users: Users, owned: Mapping[str, str], before: float) -> Judged:
    alive = sorted(pid for pid in found.last_users if is_alive(pid, found.changed))
    if owner := owned.get(f"{found.kind} {found.name or found.id}") or owned.get(f"{found.kind} key {found.key}"):
        kept = f"on record: {owner}"
    elif found.users:
        pids = sorted(found.users - {0})
        kept = f"in use by {_processes(pids)}" if pids else "in use by processes that are not visible here"
    elif alive:
        kept = (
            f"used or created by {_processes(alive)}, which is alive"
            if len(alive) == 1
            else f"used by {_processes(alive)}"
        )
    elif users.outside:
        kept = "processes outside this PID namespace, which are not visible here, may use it"
    elif found.kind in FOLDERS and (hidden := _hidden(found, users)):
        kept = f"{hidden} process{'es' if hidden > 1 else ''} whose files are not readable may have it open"
    elif not (found.kind in FOLDERS or found.last_users):
        kept = "the kernel does not record who created or used it"
    elif found.changed > before:
        return Judged(found, False, f"used {time.time() - found.changed:.0f} s ago", is_young=True)
    else:
        dead = f"{_processes(sorted(found.last_users))} created or used it last and ended" if found.last_users else ""
        return Judged(found, True, dead or "no process has it mapped or open")
    return Judged(found, False, kept)


def _hidden(found: IpcObject, users: Users) -> int:
    """Return how many processes whose files are not readable can have opened the object by its mode."""
    return users.hidden.total() if found.mode & 0o077 else users.hidden[found.uid]


def _processes(pids: list[int]) -> str:
    named = [f"{pid} ({name})" if (name := command_of(pid)) != "?" else str(pid) for pid in pids[:3]]
    more = f" and {len(pids) - 3} more" if len(pids) > 3 else ""
    return f"process{'es' if len(pids) > 1 else ''} {', '.join(named)}{more}"


def obstacle(found: IpcObject) -> str | None:
    """Return why this process may not remove an object, None if it may: unlink(2), shmctl(2)."""
    user, capabilities = os.geteuid(), proc.capabilities() or 0
    if found.kind not in FOLDERS:
        may = user in (found.uid, found.creator_uid) or capabilities & _SYS_ADMIN
    else:
        folder = os.stat(FOLDERS[found.kind])
        if not os.access(FOLDERS[found.kind], os.W_OK):
            return f"{FOLDERS[found.kind]} is not writable"
        may = not folder.st_mode & stat.S_ISVTX or user in (found.uid, folder.st_uid) or capabilities & _FOWNER
    return None if may else f"it belongs to user {found.uid}"


def remove(found: IpcObject) -> str | None:
    """Remove an orphan, if it is still the same object and still unused; return why not, if it is not removed."""
    try:
        if found.kind in FOLDERS:
            return _remove_file(found)
        if found.kind == "sysv-shm":
            segment = shmctl_stat(found.id)
            changed, attached = segment.ctime, segment.nattch
        elif found.kind == "sysv-sem":
            changed, attached = semctl_stat(found.id).ctime, 0
        else:
            changed, attached = msgctl_stat(found.id).ctime, 0
        if changed != found.identity[1]:
            return "it was changed meanwhile"
        if attached:
            return "it was attached meanwhile"
        {"sysv-shm": shmctl_rmid, "sysv-sem": semctl_rmid, "sysv-msg": msgctl_rmid}[found.kind](found.id)
    except OSError as error:
        return (obstacle(found) if isinstance(error, PermissionError) else None) or f"{error.strerror}"
    return None


def _remove_file(found: IpcObject) -> str | None:
    folder = FOLDERS[found.kind]
    status = os.stat(f"{folder}/{found.name}", follow_symlinks=False)
    if (status.st_dev, status.st_ino) != found.identity:
        return "another object has its name by now"
    if find_users().files.get(found.identity):
        return "it was opened meanwhile"
    if found.kind == "posix-mq":
        mq_unlink(f"/{found.name}")
    else:
        os.unlink(f"{folder}/{found.name}")
    return None
