"""Sequential specification of pending signals in signal(7): standard ones pend once, real-time ones queue, lowest
first."""

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
    """The pending signals of each process: number and value, oldest first. Number 0 is a standard signal."""

    processes: tuple[str, ...]  # the process of each worker
    pending: tuple[tuple[str, int, int], ...] = ()

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "queue", (target, number, value):
                return f"sigqueue(of worker {target}, {_name(number)}, {value})"
            case "kill", (target,):
                return f"kill(of worker {target}, {_name(0)})"
            case "take", (_, numbers, wait):
                wanted = ", ".join(map(_name, numbers))
                return f"sigwaitinfo({wanted})" if wait else f"sigtimedwait({wanted}, 0 s)"
        return str(call)

    def queue(self, process: str, target: int, number: int, value: int) -> Iterable[tuple[Outcome, Self]]:
        """sigqueue(3): queue the signal after those of the same number."""
        entry = self.processes[target], number, value
        return self.gives(None, replace(self, pending=(*self.pending, entry)))

    def kill(self, process: str, target: int) -> Iterable[tuple[Outcome, Self]]:
        """kill(2) with a standard signal: it pends once."""
        entry = self.processes[target], 0, 0
        return self.gives(None, self if entry in self.pending else replace(self, pending=(*self.pending, entry)))

    def take(self, process: str, worker: int, numbers: tuple[int, ...], wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """sigwaitinfo(2), sigtimedwait(2): take the oldest instance of the lowest number; each goes to one thread.

        On Linux a thread that was woken for a signal fails with EINTR, without a handler, if another takes it first.
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
        """Return whether the call can only fail with EINTR."""
        return all(result == Fails(EINTR) for result, _ in self.apply(call))

    def shown(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """sigpending(2)."""
        return self.gives(tuple(sorted({number for who, number, _ in self.pending if who == process})))


def _name(number: int) -> str:
    return f"SIGRTMIN+{number}" if number else "SIGUSR2"
