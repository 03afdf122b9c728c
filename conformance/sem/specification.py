"""Sequential specification of semop(2) and semctl(2) for one set: arrays of operations, waiting, SEM_UNDO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from errno import EAGAIN, EFBIG, EIDRM, EINVAL, ERANGE
from types import MappingProxyType
from typing import ClassVar, Self

from pytest_ipc.kernel import IPC_NOWAIT, SEM_UNDO, SEMVMX

from ..outcome import Fails, Outcome
from ..specification import Call, Specification

__all__ = ["SemaphoresSpec", "array_text"]

Operations = tuple[tuple[int, int, int], ...]
Adjustments = frozenset[tuple[str, int, int]]


def array_text(operations: Operations) -> str:
    """Return the operations in the notation of semop(2)."""
    flags = {IPC_NOWAIT: " IPC_NOWAIT", SEM_UNDO: " SEM_UNDO"}
    return ", ".join(
        f"{num}: {op:+}" + "".join(word for flag, word in flags.items() if flg & flag) for num, op, flg in operations
    )


@dataclass(frozen=True)
class SemaphoresSpec(Specification):
    """A set of semaphores: their values, and the adjustments (semadj) of each process."""

    values: tuple[int, ...]
    adjustments: Adjustments = frozenset()  # (process, number, semadj); semadj is never 0
    removed: bool = False

    over: ClassVar[Mapping[str, int]] = MappingProxyType({"semtimedop": EAGAIN})

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "semop", (operations,):
                return f"semop({array_text(operations)})"
            case "semtimedop", (operations, seconds):
                return f"semtimedop({array_text(operations)}, {seconds * 1000:g} ms)"
            case "setval", (num, value):
                return f"semctl({num}, SETVAL, {value})"
            case "setall", (values,):
                return f"semctl(SETALL, {[*values]})"
            case "getall", _:
                return "semctl(GETALL)"
            case "rmid", _:
                return "semctl(IPC_RMID)"
        return str(call)

    def semop(self, process: str, operations: Operations) -> Iterable[tuple[Outcome, Self]]:
        """semop(2): all operations in array order, or none; wait at the first that cannot proceed."""
        if self.removed:
            return self._gone()
        if any(num >= len(self.values) for num, _, _ in operations):
            return self.fails(EFBIG)
        values = [*self.values]
        adjustments = {(who, num): change for who, num, change in self.adjustments}
        for num, op, flags in operations:
            if values[num] + op < 0 or (op == 0 and values[num]):
                return self.fails(EAGAIN) if flags & IPC_NOWAIT else self.waits()
            values[num] += op
            if values[num] > SEMVMX:
                return self.fails(ERANGE)
            if flags & SEM_UNDO:
                change = adjustments.get((process, num), 0) - op
                if not -SEMVMX - 1 <= change <= SEMVMX:
                    return self.fails(ERANGE)
                adjustments[process, num] = change
        kept = frozenset((who, num, change) for (who, num), change in adjustments.items() if change)
        return self.gives(None, replace(self, values=tuple(values), adjustments=kept))

    def semtimedop(self, process: str, operations: Operations, seconds: float) -> Iterable[tuple[Outcome, Self]]:
        """semop(2): the same with a time limit; EAGAIN if it would wait longer."""
        return [*self.semop(process, operations)] or self.fails(EAGAIN)

    def setval(self, process: str, num: int, value: int) -> Iterable[tuple[Outcome, Self]]:
        """semctl(2), SETVAL: set the value of a semaphore and clear its adjustments in all processes."""
        if self.removed:
            return self._gone()
        if not 0 <= value <= SEMVMX:
            return self.fails(ERANGE)
        values = (*self.values[:num], value, *self.values[num + 1 :])
        kept = frozenset(entry for entry in self.adjustments if entry[1] != num)
        return self.gives(None, replace(self, values=values, adjustments=kept))

    def setall(self, process: str, values: tuple[int, ...]) -> Iterable[tuple[Outcome, Self]]:
        """semctl(2), SETALL: the same for all semaphores."""
        return self._gone() if self.removed else self.gives(None, type(self)(tuple(values)))

    def getall(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """semctl(2), GETALL: the values at one moment."""
        return self._gone() if self.removed else self.gives(self.values)

    def rmid(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """semctl(2), IPC_RMID: remove the set; waiting calls fail, and the adjustments are dropped."""
        return self._gone() if self.removed else self.gives(None, replace(self, removed=True, adjustments=frozenset()))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """semop(2), SEM_UNDO: add the adjustments of the process, limited to 0 and SEMVMX."""
        values = [*self.values]
        for who, num, change in self.adjustments:
            if who == process:
                values[num] = min(max(values[num] + change, 0), SEMVMX)
        kept = frozenset(entry for entry in self.adjustments if entry[0] != process)
        return self.gives(None, replace(self, values=tuple(values), adjustments=kept))

    def _gone(self) -> Iterable[tuple[Outcome, Self]]:
        # EIDRM if the set was removed during the call, EINVAL if before; the history does not show which came first.
        return ((Fails(EIDRM), self), (Fails(EINVAL), self))
