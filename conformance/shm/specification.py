"""Sequential specification of shmget(2), shmop(2) and shmctl(2) for one key: creation, removal and shm_nattch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import EEXIST, EIDRM, EINVAL, ENOENT
from typing import Self

from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification

__all__ = ["SegmentsSpec"]

Worker = tuple[str, int]  # the name of the process, and the worker's number in it


@dataclass(frozen=True)
class SegmentsSpec(Specification):
    """One key. A worker attaches, examines and removes the segment that it found or created last.

    `ids` are the identifiers the kernel may choose from: those in the history, and one that no call returned.
    """

    ids: frozenset[int]
    found: int | None = None  # the segment that has the key
    used: frozenset[int] = frozenset()
    there: frozenset[int] = frozenset()  # segments that exist
    known: frozenset[tuple[int, int]] = frozenset()  # of each worker, the segment that it knows
    attached: frozenset[tuple[Worker, int]] = frozenset()  # at most once a worker
    pinned: frozenset[tuple[Worker, int]] = frozenset()  # by calls of shmat(2) that have not returned

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "get", (_, flags):
                names = [name for flag, name in ((IPC_CREAT, "IPC_CREAT"), (IPC_EXCL, "IPC_EXCL")) if flags & flag]
                return f"shmget({' | '.join(names) or '0'})"
            case "attach", _:
                return "shmat()"
            case "detach", _:
                return "shmdt()"
            case (("remove" | "clear"), _):
                return "shmctl(IPC_RMID)"
            case "count", _:
                return "shmctl(IPC_STAT: shm_nattch)"
        return str(call)

    def _knows(self, worker: int) -> int | None:
        return next((id for who, id in self.known if who == worker), None)

    def get(self, process: str, worker: int, flags: int) -> Iterable[tuple[Outcome, Self]]:
        """shmget(2): IPC_EXCL requires a new segment; without IPC_CREAT the segment must exist."""
        others = frozenset(entry for entry in self.known if entry[0] != worker)
        if self.found is not None:
            if flags & IPC_EXCL:
                return self.fails(EEXIST)
            return self.gives(self.found, replace(self, known=others | {(worker, self.found)}))
        if not flags & IPC_CREAT:
            return self.fails(ENOENT)
        made = []
        for id in sorted(self.ids - self.used):
            after = replace(
                self, found=id, used=self.used | {id}, there=self.there | {id}, known=others | {(worker, id)}
            )
            made.append((Gives(id), after))
        return made

    def pins(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """shmat(2), first point: Linux counts one attachment more until the call returns.

        A removed segment that other workers have attached may be attached or not.
        """
        id, me = self._knows(worker), (process, worker)
        if id is None or id not in self.there or any(who == me for who, _ in self.attached):
            return self.gives()
        pinned = Gives(), replace(self, pinned=self.pinned | {(me, id)})
        return (pinned,) if id == self.found else (pinned, (Gives(), self))

    def maps(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """shmat(2), second point: the segment is attached."""
        mine = frozenset(entry for entry in self.pinned if entry[0] == (process, worker))
        return self.gives(None, replace(self, attached=self.attached | mine))

    def attach_ends(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """shmat(2), last point: the segment is attached, or it does not exist."""
        id, me = self._knows(worker), (process, worker)
        mine = frozenset(entry for entry in self.pinned if entry[0] == me)
        if mine:
            return self.gives(True, replace(self, pinned=self.pinned - mine)._swept())
        return self.gives(False) if id is None or any(who == me for who, _ in self.attached) else self._gone()

    def detach(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """shmdt(2): the last detach destroys a removed segment."""
        me = process, worker
        mine = frozenset(entry for entry in self.attached if entry[0] == me)
        return self.gives(bool(mine), replace(self, attached=self.attached - mine)._swept())

    def remove(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """shmctl(2), IPC_RMID: one call succeeds; further calls may succeed while the segment is attached."""
        id = self._knows(worker)
        if id is None:
            return self.gives(False)
        if id not in self.there:
            return self._gone()
        after = replace(self, found=None if id == self.found else self.found)._swept()
        return ((Gives(True), after),) if id == self.found else ((Gives(True), after), *self._gone())

    def count(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """shmctl(2), IPC_STAT: return the number of attachments."""
        id = self._knows(worker)
        if id is None:
            return self.gives(None)
        count = Gives(sum(other == id for some in (self.attached, self.pinned) for _, other in some)), self
        if id not in self.there:
            return self._gone()
        return (count,) if id == self.found else (count, *self._gone())

    def clear(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Remove the segment of the key; return whether one existed."""
        return self.gives(self.found is not None, replace(self, found=None)._swept())

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """The attachments of a process end with it."""
        kept = [frozenset(entry for entry in some if entry[0][0] != process) for some in (self.attached, self.pinned)]
        return self.gives(None, replace(self, attached=kept[0], pinned=kept[1])._swept())

    def _swept(self) -> Self:
        return replace(self, there=frozenset(id for id in self.there if id == self.found or self._is_attached(id)))

    def _is_attached(self, id: int) -> bool:
        return any(other == id for some in (self.attached, self.pinned) for _, other in some)

    def _gone(self) -> tuple[tuple[Outcome, Self], ...]:
        return ((Fails(EINVAL), self), (Fails(EIDRM), self))
