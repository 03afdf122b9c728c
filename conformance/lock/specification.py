"""Specification of locks and leases, from fcntl(2) and flock(2): conflicts, blocking and deadlocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import EAGAIN, EDEADLK, EINTR
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN
from typing import Self

from pytest_ipc.kernel import F_RDLCK, F_UNLCK, F_WRLCK

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification

__all__ = ["FlockSpec", "LeaseSpec", "RangeSpec"]

KINDS = {F_RDLCK: "F_RDLCK", F_WRLCK: "F_WRLCK", F_UNLCK: "F_UNLCK"}
Owner = tuple[str, int]  # a process, and its worker for open file description locks
Wanted = tuple[int, int, int]  # kind, first byte, number of bytes


@dataclass(frozen=True)
class RangeSpec(Specification):
    """The lock of each byte and the waiting requests; record locks are owned by a process, others by a description."""

    by_process: bool
    locks: frozenset[tuple[int, Owner, int]] = frozenset()  # byte, owner, kind
    waiting: frozenset[tuple[Owner, Wanted]] = frozenset()

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        match call.name, call.arguments:
            case (("setlk" | "setlkw" | "getlk"), (_, kind, start, length)):
                return f"fcntl(F_{call.name.upper()}, {KINDS[kind]}, {start}+{length})"
            case "close", _:
                return "close()"
        return str(call)

    def owner(self, process: str, worker: int) -> Owner:
        """Return the owner of a worker's locks."""
        return (process, 0) if self.by_process else (process, worker)

    def _against(self, me: Owner, wanted: Wanted) -> set[Owner]:
        kind, start, length = wanted
        return {
            other
            for byte, other, held in self.locks
            if start <= byte < start + length and other != me and F_WRLCK in (held, kind)
        }

    def _take(self, me: Owner, wanted: Wanted) -> Self:
        kind, start, length = wanted
        bytes = range(start, start + length)
        kept = {entry for entry in self.locks if entry[0] not in bytes or entry[1] != me}
        if kind != F_UNLCK:
            kept |= {(byte, me, kind) for byte in bytes}
        return replace(self, locks=frozenset(kept))

    def setlk(self, process: str, worker: int, kind: int, start: int, length: int) -> Iterable[tuple[Outcome, Self]]:
        """F_SETLK: lock, convert or unlock the whole range, or fail."""
        me, wanted = self.owner(process, worker), (kind, start, length)
        if kind != F_UNLCK and self._against(me, wanted):
            return self.fails(EAGAIN)
        return self.gives(None, self._take(me, wanted))

    def setlkw(self, process: str, worker: int, kind: int, start: int, length: int) -> Iterable[tuple[Outcome, Self]]:
        """F_SETLKW: like F_SETLK, but block."""
        found = [*self.setlk(process, worker, kind, start, length)]
        return self.waits() if found[0][0] == Fails(EAGAIN) else found

    def begins(self, process: str, worker: int, kind: int, start: int, length: int) -> Iterable[tuple[Outcome, Self]]:
        """The first step of F_SETLKW: the request is waiting."""
        entry = self.owner(process, worker), (kind, start, length)
        return self.gives(None, replace(self, waiting=self.waiting | {entry}))

    def acquires(self, process: str, worker: int, kind: int, start: int, length: int) -> Iterable[tuple[Outcome, Self]]:
        """The second step of F_SETLKW: acquire the lock, or fail with EDEADLK in a deadlock, or with EINTR."""
        me = self.owner(process, worker)
        after = replace(self, waiting=self.waiting - {(me, (kind, start, length))})
        found = [*after.setlkw(process, worker, kind, start, length)]
        if not found:
            if self._waits_for(me, me, surely=False):
                found.append((Fails(EDEADLK), after))
            found.append((Fails(EINTR), after))
        return found

    def sleeps(self, call: Call) -> bool:
        """Return whether the request blocks without a deadlock; the
        kernel follows only one of several conflicting owners.
        """
        if call.name != "acquires":
            return super().sleeps(call)
        me = self.owner(call.process, call.arguments[0])
        return bool(self._against(me, call.arguments[1:])) and not self._waits_for(me, me, surely=True)

    def _waits_for(self, who: Owner, whom: Owner, *, surely: bool, seen: frozenset[Owner] = frozenset()) -> bool:
        """Return whether *who* waits for *whom*, directly or not; *surely* if each of them waits for only one owner."""
        for waiter, wanted in self.waiting:
            if waiter == who:
                others = self._against(who, wanted)
                if surely and len(others) > 1:
                    continue
                if whom in others:
                    return True
                new = others - seen
                if any(self._waits_for(other, whom, surely=surely, seen=seen | {other}) for other in new):
                    return True
        return False

    def getlk(self, process: str, worker: int, kind: int, start: int, length: int) -> Iterable[tuple[Outcome, Self]]:
        """F_GETLK: return whether the lock can be placed."""
        return self.gives(not self._against(self.owner(process, worker), (kind, start, length)))

    def close(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """close(2): release the locks of the owner."""
        return self.gives(None, self._without(self.owner(process, worker)))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Termination of a process releases the locks of one owner at once, and those of several one after another."""
        waiting = frozenset(entry for entry in self.waiting if entry[0][0] != process)
        after = replace(self, waiting=waiting)
        owners = {owner for _, owner, _ in self.locks if owner[0] == process}
        return [(Gives(), after), *((Gives(), after._without(owner)) for owner in sorted(owners))]

    def all_ended(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Release the remaining locks of a terminated process; see `ends`."""
        locks = frozenset(entry for entry in self.locks if entry[1][0] != process)
        return self.gives(None, replace(self, locks=locks))

    def _without(self, owner: Owner) -> Self:
        return replace(self, locks=frozenset(entry for entry in self.locks if entry[1] != owner))


@dataclass(frozen=True)
class FlockSpec(Specification):
    """flock(2): the holders of a file's locks. A conversion has two steps: release the old lock, acquire the new."""

    held: frozenset[tuple[Owner, int]] = frozenset()

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        if call.name == "close":
            return "close()"
        operation = call.arguments[1]
        kind = {LOCK_SH: "LOCK_SH", LOCK_EX: "LOCK_EX", LOCK_UN: "LOCK_UN"}[operation & ~LOCK_NB]
        return f"flock({kind}{' | LOCK_NB' if operation & LOCK_NB else ''})"

    def _mine(self, me: Owner) -> int | None:
        return next((kind for owner, kind in self.held if owner == me), None)

    def releases(self, process: str, worker: int, operation: int) -> Iterable[tuple[Outcome, Self]]:
        """Release a lock of another kind first; keep one of the same kind."""
        me = process, worker
        mine = self._mine(me)
        if mine is None or mine == operation & ~LOCK_NB:
            return self.gives()
        return self.gives(None, self._without(me))

    def acquires(self, process: str, worker: int, operation: int) -> Iterable[tuple[Outcome, Self]]:
        """Then acquire the lock, unless another one conflicts."""
        me, kind = (process, worker), operation & ~LOCK_NB
        if kind == LOCK_UN or self._mine(me) == kind:
            return self.gives()
        if any(LOCK_EX in (kind, other) for _, other in self.held):
            return self.fails(EAGAIN) if operation & LOCK_NB else ((Fails(EINTR), self),)
        return self.gives(None, replace(self, held=self.held | {(me, kind)}))

    def sleeps(self, call: Call) -> bool:
        """Return whether the call can only be interrupted."""
        return all(result == Fails(EINTR) for result, _ in self.apply(call))

    def close(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """close(2) of the last descriptor."""
        return self.gives(None, self._without((process, worker)))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Termination of a process closes its descriptors one after another."""
        mine = [owner for owner, _ in self.held if owner[0] == process]
        return [(Gives(), self), *((Gives(), self._without(owner)) for owner in sorted(mine))]

    def all_ended(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Release the remaining locks of a terminated process; see `ends`."""
        return self.gives(None, replace(self, held=frozenset(entry for entry in self.held if entry[0][0] != process)))

    def _without(self, me: Owner) -> Self:
        return replace(self, held=frozenset(entry for entry in self.held if entry[0] != me))


@dataclass(frozen=True)
class LeaseSpec(Specification):
    """A file, its openers and the holder of its write lease. open(2) has two steps: it is counted, then decided."""

    trying: frozenset[Owner] = frozenset()
    openers: frozenset[Owner] = frozenset()
    holder: Owner | None = None
    breaking: bool = False

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        return {
            "open": "open(O_RDWR | O_NONBLOCK)",
            "close": "close()",
            "lease": "fcntl(F_SETLEASE, F_WRLCK)",
            "unlease": "fcntl(F_SETLEASE, F_UNLCK)",
            "getlease": "fcntl(F_GETLEASE)",
        }.get(call.name, str(call))

    def tries(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """The first step of open(2); an opener does not open the file again."""
        me = process, worker
        return self.gives(None, self if me in self.openers else replace(self, trying=self.trying | {me}))

    def opens(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """open(2) with O_NONBLOCK: fail if another one holds the lease, which is then being broken."""
        me = process, worker
        if me in self.openers:
            return self.gives(False)
        after = replace(self, trying=self.trying - {me})
        if self.holder is not None:
            return ((Fails(EAGAIN), replace(after, breaking=True)),)
        return self.gives(True, replace(after, openers=self.openers | {me}))

    def close(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """close(2): release the lease too."""
        me = process, worker
        return self.gives(me in self.openers, self._without(me))

    def lease(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """F_SETLEASE, F_WRLCK: succeed only for the sole opener of the file."""
        me = process, worker
        if me not in self.openers or self.holder == me:
            return self.gives(False)
        if self.openers - {me}:
            return self.fails(EAGAIN)
        done = Gives(True), replace(self, holder=me, breaking=False)
        return (done, (Fails(EAGAIN), self)) if self.trying else (done,)

    def unlease(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """F_SETLEASE, F_UNLCK, by the holder."""
        if self.holder != (process, worker):
            return self.gives(False)
        return self.gives(True, replace(self, holder=None, breaking=False))

    def getlease(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """F_GETLEASE: the type of the lease, or its target during a break."""
        if (process, worker) not in self.openers:
            return self.gives(None)
        return self.gives(F_WRLCK if self.holder == (process, worker) and not self.breaking else F_UNLCK)

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Termination of a process closes its descriptors."""
        after = self
        for owner in self.openers | self.trying:
            if owner[0] == process:
                after = after._without(owner)
        return self.gives(None, after)

    def _without(self, me: Owner) -> Self:
        mine = self.holder == me
        return replace(
            self,
            trying=self.trying - {me},
            openers=self.openers - {me},
            holder=None if mine else self.holder,
            breaking=self.breaking and not mine,
        )
