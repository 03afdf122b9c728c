"""System V segments, semaphore sets and message queues, with creator or last user as the kernel records them."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from errno import ENOENT
from functools import partial
from typing import Any

from ...kernel.msg import msgctl_rmid
from ...kernel.proc import contents, process_state, sysvipc_msg, sysvipc_sem, sysvipc_shm
from ...kernel.sem import GETPID, semctl, semctl_rmid
from ...kernel.shm import shmctl_rmid
from ...kernel.usage import existence_query, usage_query
from ..leak import Detector, Snapshot
from ..origin import Origin, command_of, is_owned_elsewhere
from ..owned import Owned

__all__ = ["DETECTORS"]

_KEY_AND_ID = re.compile(rb"^ *(-?\d+) +(\d+) ", re.MULTILINE)
_MANY = 64  # objects that are asked for one by one
_SEMAPHORES = 250  # of a set that are asked for their last user


class SysvObjects(Detector):
    """Each object of one type by id. An id is not reused before 32768 others have been given for its slot.

    The list is read again only if the number of objects, the highest index or the total size has changed, or if one has
    been removed that was created since the check is on. So it misses an object if the test has removed an older one, of
    the same size and not of the highest index.
    """

    outlasts = True

    def __init__(self, kind: str) -> None:
        self.kind = kind  # type: ignore[misc]  # one class for the three kinds
        self.place = "ipc"
        self._file = f"/proc/sysvipc/{kind[-3:]}"
        self._option, self._rmid = _TABLE[kind]
        self._usage, self._exists = usage_query(f"{kind[-3:]}ctl"), existence_query(f"{kind[-3:]}ctl")
        self._listed: tuple[object, Snapshot] | None = None
        self._older: Snapshot | None = None
        self._recent: list[int] = []

    def snapshot(self) -> Snapshot:
        """Return the key of each object by its id."""
        totals = self._usage()
        if self._listed is None or self._listed[0] != totals or not all(map(self._exists, self._recent)):
            found = self._list()
            self._older = found if self._older is None else self._older
            self._recent = [id for id in found if id not in self._older]
            # If it has changed meanwhile, it is read again next time.
            self._listed = (totals if len(self._recent) <= _MANY else None, found)
        return self._listed[1]

    def _list(self) -> Snapshot:
        return {int(id): int(key) for key, id in _KEY_AND_ID.findall(contents(self._file))}

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture owns it."""
        return key in owned.ids

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return id, key, size and creator."""
        row, pids = _row(self.kind, int(str(key)))
        named = f"{_NAMES[self.kind]} {key} (key {after[key] & 0xFFFF_FFFF:#x}{_size(self.kind, row)})"
        users = ", ".join(_process(pid) for pid in pids)
        verb = "created by" if self.kind == "sysv-shm" else "last used by"
        return f"{named}, {verb} {users}" if users else named

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str | None:
        """Return which process of the test has created or used it; None if a living process of others has."""
        if "ipc" in origin.isolated:
            return "in the IPC namespace of this run"
        pids = _row(self.kind, int(str(key)))[1]
        for pid in pids:
            if (who := origin.of(pid)) is not None:
                return f"{'created' if self.kind == 'sysv-shm' else 'used'} by {who}"
        if any(process_state(pid) for pid in pids) or is_owned_elsewhere(self.kind, key, after[key]):
            return None
        return ""

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the command that removes it."""
        return f"`ipcrm -{self._option} {key}` removes it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Remove it."""
        self._rmid(int(str(key)))
        return True


_NAMES = {
    "sysv-shm": "System V segment",
    "sysv-sem": "System V semaphore set",
    "sysv-msg": "System V message queue",
}
# The option of ipcrm(1), and the call that removes one.
_TABLE: dict[str, tuple[str, Callable[[int], None]]] = {
    "sysv-shm": ("m", shmctl_rmid),
    "sysv-sem": ("s", semctl_rmid),
    "sysv-msg": ("q", msgctl_rmid),
}


def _row(kind: str, id: int) -> tuple[Any, list[int]]:
    """Return the row of an object in /proc/sysvipc, and the processes that created or used it. FileNotFoundError."""
    if kind == "sysv-shm":
        segment = next((row for row in sysvipc_shm() or () if row.shmid == id), None)
        if segment is None:
            raise FileNotFoundError(ENOENT, "the segment is gone")
        return segment, _known([segment.cpid])
    if kind == "sysv-msg":
        queue = next((row for row in sysvipc_msg() or () if row.msqid == id), None)
        if queue is None:
            raise FileNotFoundError(ENOENT, "the queue is gone")
        return queue, _known([queue.lspid, queue.lrpid])
    if all(row.semid != id for row in sysvipc_sem() or ()):
        raise FileNotFoundError(ENOENT, "the set is gone")
    return None, _known(_last_users(id))


def _last_users(id: int) -> Iterator[int]:
    with suppress(OSError):  # past the last semaphore, or another user's set
        for number in range(_SEMAPHORES):
            yield semctl(id, number, GETPID)


def _known(pids: Iterable[int]) -> list[int]:
    return sorted({pid for pid in pids if pid})


def _size(kind: str, row: Any) -> str:
    if row is None:
        return ""
    return f", {row.size} bytes" if kind == "sysv-shm" else f", {row.qnum} messages"


def _process(pid: int) -> str:
    return f"process {pid} ({command_of(pid)})" if process_state(pid) else f"process {pid}, which has ended"


DETECTORS: dict[str, Callable[[], Detector]] = {kind: partial(SysvObjects, kind) for kind in _TABLE}
