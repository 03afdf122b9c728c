"""Specification of pipes, from pipe(7) and fifo(7): one stream, atomic writes, end of file, EPIPE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import EAGAIN, EPIPE
from itertools import groupby
from typing import Self

from ..outcome import Fails, Gives, Outcome
from ..specification import Call, Specification

__all__ = ["PipeSpec", "Runs", "runs"]

Runs = tuple[tuple[int, int], ...]
End = tuple[str, int]  # the process, and the number of the worker that holds the end


def runs(data: bytes) -> Runs:
    """Return the data as runs: each byte with the number of its consecutive occurrences."""
    return tuple((byte, len([*same])) for byte, same in groupby(data))


def _joined(first: Runs, second: Runs) -> Runs:
    if first and second and first[-1][0] == second[0][0]:
        return (*first[:-1], (first[-1][0], first[-1][1] + second[0][1]), *second[1:])
    return first + second


@dataclass(frozen=True)
class PipeSpec(Specification):
    """A pipe: its content and the holders of read ends and write ends. Writes are of at most PIPE_BUF bytes.

    A pipe keeps its bytes in pages and may be full although a page is not: in a pipe that is not empty, a write that
    would exceed the capacity less one page may fail with EAGAIN or block.
    """

    capacity: int
    page: int
    readers: frozenset[End]
    writers: frozenset[End]
    content: Runs = ()

    @staticmethod
    def words(call: Call) -> str:
        """Format a call as in the manual."""
        match call.name, call.arguments:
            case "write", (_, byte, count, wait):
                return f"write({bytes([byte])!r} * {count}{'' if wait else ', O_NONBLOCK'})"
            case "read", (_, count, wait):
                return f"read({count} bytes{'' if wait else ', O_NONBLOCK'})"
            case "close_read", _:
                return "close(the end for reading)"
            case "close_write", _:
                return "close(the end for writing)"
            case "drain", _:
                return "read(all, O_NONBLOCK)"
        return str(call)

    @property
    def used(self) -> int:
        """Return the number of unread bytes."""
        return sum(count for _, count in self.content)

    def write(self, process: str, worker: int, byte: int, count: int, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """write(2): write all bytes at once, or none."""
        if not self.readers:
            return self.fails(EPIPE)
        results: list[tuple[Outcome, Self]] = []
        if self.used + count <= self.capacity:
            results.append((Gives(count), replace(self, content=_joined(self.content, ((byte, count),)))))
        if self.used and self.used + count > self.capacity - self.page and not wait:
            results.append((Fails(EAGAIN), self))
        return results

    def sleeps(self, call: Call) -> bool:
        """Return whether the call may block; a write may block although it may also succeed (see the class)."""
        if call.name == "write" and self.readers:
            return bool(self.used and self.used + call.arguments[2] > self.capacity - self.page)
        return super().sleeps(call)

    def read(self, process: str, worker: int, count: int, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """read(2): return up to *count* bytes, and no bytes at end of file."""
        if not self.content:
            if not self.writers:
                return self.gives(())
            return self.waits() if wait else self.fails(EAGAIN)
        taken: Runs = ()
        rest = [*self.content]
        while rest and count:
            byte, length = rest[0]
            part = min(length, count)
            taken += ((byte, part),)
            count -= part
            if part == length:
                del rest[0]
            else:
                rest[0] = byte, length - part
        return self.gives(taken, replace(self, content=tuple(rest)))

    def close_read(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """close(2) of a read end: after the last one, writes fail."""
        return self.gives(None, self._without({(process, worker)}, set()))

    def close_write(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """close(2) of a write end: after the last one, readers get end of file."""
        return self.gives(None, self._without(set(), {(process, worker)}))

    def drain(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Open the FIFO and read all bytes."""
        return self.gives(self.content, replace(self, content=()))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Close the ends of a terminated process: first those of one kind, then in `all_ended` those of the other."""
        mine = {end for end in self.readers | self.writers if end[0] == process}
        return ((Gives(), self._without(mine, set())), (Gives(), self._without(set(), mine)))

    def all_ended(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Close all remaining ends of a terminated process; see `ends`."""
        mine = {end for end in self.readers | self.writers if end[0] == process}
        return self.gives(None, self._without(mine, mine))

    def _without(self, readers: set[End], writers: set[End]) -> Self:
        after = replace(self, readers=self.readers - readers, writers=self.writers - writers)
        # The last close discards unread data.
        return after if after.readers or after.writers else replace(after, content=())
