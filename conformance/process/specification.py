"""Sequential specification of fork(2) and wait(2): each terminated child is reaped once, by one waiting thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import ECHILD
from typing import Self

from ..outcome import Gives, Outcome
from ..specification import Call, Specification

__all__ = ["ChildrenSpec"]


@dataclass(frozen=True)
class ChildrenSpec(Specification):
    """The children of each process: the living, and those that have ended and were not reaped."""

    living: frozenset[tuple[str, int]]
    ended: frozenset[tuple[str, int]] = frozenset()

    @staticmethod
    def words(call: Call) -> str:
        """Return the call as the manual writes it."""
        match call.name, call.arguments:
            case "kill", (child,):
                return f"kill(child {child}, SIGKILL)"
            case "reap", (wait,):
                return f"waitid(P_ALL, WEXITED{'' if wait else ' | WNOHANG'})"
        return str(call)

    def kill(self, process: str, child: int) -> Iterable[tuple[Outcome, Self]]:
        """kill(2), then wait until the child of that number has ended, if this process has it."""
        entry = process, child
        if entry in self.living:
            return self.gives(None, replace(self, living=self.living - {entry}, ended=self.ended | {entry}))
        return self.gives()

    def reap(self, process: str, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """waitid(2): any ended child, once; with WNOHANG none if none has ended; ECHILD without children."""
        mine = sorted(entry for entry in self.ended if entry[0] == process)
        if mine:
            return [(Gives(entry[1]), replace(self, ended=self.ended - {entry})) for entry in mine]
        if not any(entry[0] == process for entry in self.living):
            return self.fails(ECHILD)
        return self.waits() if wait else self.gives()

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """When a process ends its children get another parent."""
        kept = (frozenset(entry for entry in some if entry[0] != process) for some in (self.living, self.ended))
        living, ended = kept
        return self.gives(None, replace(self, living=living, ended=ended))
