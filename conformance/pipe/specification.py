"""What pipe(7) and fifo(7) say of the bytes in a pipe: one stream, atomic writes, end of file, nobody to read."""

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
End = tuple[str, int]  # of a process, and which of its workers holds it


def runs(data: bytes) -> Runs:
    """Return bytes as runs: each byte with how often it stands there in a row."""
    return tuple((byte, len([*same])) for byte, same in groupby(data))


def _joined(first: Runs, second: Runs) -> Runs:
    if first and second and first[-1][0] == second[0][0]:
        return (*first[:-1], (first[-1][0], first[-1][1] + second[0][1]), *second[1:])
    return first + second


@dataclass(frozen=True)
class PipeSpec(Specification):
    """A pipe: the bytes in it, and who holds an end for reading and for writing. Writes are of at most PIPE_BUF bytes.

    A pipe keeps bytes in pages, and may be full though there is room in them. So in a pipe that is not empty a write that
    would come within a page of the capacity may find no room.
    """

    capacity: int
    page: int
    readers: frozenset[End]
    writers: frozenset[End]
    content: Runs = ()

    @staticmethod
    def words(call: Call) -> str:
        """As the manual writes it."""
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
        """How many bytes there are."""
        return sum(count for _, count in self.content)

    def write(self, process: str, worker: int, byte: int, count: int, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """write(2): all of the bytes at once, or none."""
        if not self.readers:
            return self.fails(EPIPE)
        results: list[tuple[Outcome, Self]] = []
        if self.used + count <= self.capacity:
            results.append((Gives(count), replace(self, content=_joined(self.content, ((byte, count),)))))
        if self.used and self.used + count > self.capacity - self.page and not wait:
            results.append((Fails(EAGAIN), self))
        return results

    def sleeps(self, call: Call) -> bool:
        """A write may wait also where it may be done: see the class."""
        if call.name == "write" and self.readers:
            return bool(self.used and self.used + call.arguments[2] > self.capacity - self.page)
        return super().sleeps(call)

    def read(self, process: str, worker: int, count: int, wait: bool) -> Iterable[tuple[Outcome, Self]]:
        """read(2): as many bytes as there are, up to *count*; none at end of file."""
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
        """close(2): with the last reader all writes fail."""
        return self.gives(None, self._without({(process, worker)}, set()))

    def close_write(self, process: str, worker: int) -> Iterable[tuple[Outcome, Self]]:
        """close(2): with the last writer readers come to the end of file."""
        return self.gives(None, self._without(set(), {(process, worker)}))

    def drain(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """Open the FIFO, and read what there is."""
        return self.gives(self.content, replace(self, content=()))

    def ends(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """A process that ends closes what it holds: first its ends of one kind, then `all_ended` those of the other."""
        mine = {end for end in self.readers | self.writers if end[0] == process}
        return ((Gives(), self._without(mine, set())), (Gives(), self._without(set(), mine)))

    def all_ended(self, process: str) -> Iterable[tuple[Outcome, Self]]:
        """See `ends`."""
        mine = {end for end in self.readers | self.writers if end[0] == process}
        return self.gives(None, self._without(mine, mine))

    def _without(self, readers: set[End], writers: set[End]) -> Self:
        after = replace(self, readers=self.readers - readers, writers=self.writers - writers)
        # With its last user the pipe goes, and what is in it.
        return after if after.readers or after.writers else replace(after, content=())
