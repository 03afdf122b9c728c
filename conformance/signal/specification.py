"""What signal(7) says of pending signals: standard ones pend once, real-time signals queue, the lowest number comes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import EAGAIN, EINTR
from typing import Self

from ..outcome import Fails, Outcome
from ..specification import Call, Specification

__all__ = ["PendingSpec"]


@dataclass(frozen=True)
class PendingSpec(Specification):
    """The signals that pend for each process: number, value and, of a number, the oldest first. 0 is a standard signal."""

    processes: tuple[str, ...]  # that of each worker
    pending: tuple[tuple[str, int, int], ...] = ()

    @staticmethod
    def words(call: Call) -> str:
        """As the manual writes it."""
        match call.name, call.arguments:
            case "queue", (target, number, value):
                return f"sigqueue(of worker {target}, {_name(number)}, {value})"
            case "kill", (target,):
                return f"kill(of worker {target}, {_name(0)})"
            case "take", (_, numbers, wait):
                return f"{'sigwaitinfo' if wait else 'sigtimedwait'}({', '.join(map(_name, numbers))}{'' if wait else ', 0 s'})"
        return str(call)

    def queue(self, process: str, target: int, number: int, value: int) -> Iterable[tuple[Outcome, Self]]:
        """sigqueue(3): behind those of the same number."""
        entry = self.processes[target], number, value
        return self.gives(None, replace(self, pending=(*self.pending, entry)))

    def kill(self, process: str, target: int) -> Iterable[tuple[Outcome, Self]]:
        """kill(2) with a standard signal: it pends once."""
        entry = self.processes[target], 0, 0
        return self.gives(None, self if entry in self.pending else replace(self, pending=(*self.pending, entry)))

    def take(self, process: str, worker: int, numbers: tuple[int, ...], wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """sigwaitinfo(2), sigtimedwait(2): the oldest of the lowest number; each signal to one thread.

        A thread that Linux has woken for a signal which another takes first fails with EINTR, though no handler has run.
        """
        mine = [
            (number, place)
            for place, (who, number, _) in enumerate(self.pending)
            if who == process and number in numbers
        ]
        if not mine:
            return self.fails(EINTR if wait else EAGAIN)
        number, place = min(mine)
        left = self.pending[:place] + self.pending[place + 1 :]
        return self.gives((number, self.pending[place][2]), replace(self, pending=left))

    def sleeps(self, call: Call) -> bool:
        """Whether it could only be interrupted."""
        return all(result == Fails(EINTR) for result, _ in self.apply(call))

    def shown(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sigpending(2)."""
        return self.gives(tuple(sorted({number for who, number, _ in self.pending if who == process})))


def _name(number: int) -> str:
    return f"SIGRTMIN+{number}" if number else "SIGUSR2"
