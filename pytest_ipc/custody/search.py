"""Search for the processes of recorded children whose parent has died, and kill the verified descendants.

A process is killed only if it is proven to descend from the recorded child: it is the child itself; its parent is
proven; it is in the child's process group and session; it has the child's tag and runs as this user, as only this user
and root can set the tag there; it has the tag and a ledger, which only this user's processes can create; or it was seen
below the owner while that was alive. A process of another user with only the tag is reported and not killed, as any
user can tag their own processes. See descendants.py for tag and mark.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..kernel.waiting import Deadline
from ..unpatched import os, signal
from .descendants import (
    Row,
    below,
    children_of,
    is_reaper,
    lists_children,
    mark_of,
    processes,
    row_of,
    signal_process,
    uids_of,
)
from .identity import limit_on_locks

if TYPE_CHECKING:
    from .kinds.kind import Entry

__all__ = ["Found", "Search", "ended", "ended_together", "is_possible", "note_below", "searching"]

Processes = Callable[[Callable[[], None], AbstractSet[int]], Iterator[Row]]

# Seconds. A killed process ends much sooner; the reaper of a child's own run needs time to sweep.
PATIENCE = 2.0
PATIENCE_WITH_REAPERS = 10.0
MOST_LOOKS = 50  # while more descendants appear
MOST_POOR_LOOKS = 20  # in which processes were missed, on a busy machine

# The owner's descendants, by process id and start, when the reaper last looked.
_seen_below: set[tuple[int, int]] = set()


def note_below(owner: int) -> None:
    """Remember the descendants of the children of *owner*, while it is alive and parenthood shows them."""
    if not lists_children():
        return
    found: set[tuple[int, int]] = set()
    own = mark_of(owner)
    for child in children_of(owner):
        row = row_of(child)
        # A process started by other means has the mark of the owner itself, and is not to be killed.
        if row is not None and mark_of(child) not in (0, own):
            found.add((row.pid, row.start))
            found.update((each.pid, each.start) for each in below(child))
    _seen_below.clear()
    _seen_below.update(found)


class Found:
    """The processes of one child: proven descendants, and doubtful ones that only have its tag."""

    def __init__(self) -> None:
        self.proven: dict[int, Row] = {}
        self.doubtful: dict[int, Row] = {}
        self.refused: dict[tuple[int, int], str] = {}
        self.ended = False

    def doubt(self) -> str:
        """Return why not all processes can be killed; "" if they can."""
        for (pid, _start), reason in self.refused.items():
            return f"process {pid} cannot be killed: {reason}"
        for row in self.doubtful.values():
            uids = ", ".join(map(str, sorted(set(uids_of(row.pid)))))
            return f"process {row.pid} of user {uids} has its tag, but is not proven to descend from it"
        return ""


class Search:
    """A search for the processes of several records: one pass over all processes serves all records."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.found: dict[int, Found] = {entry.details["tag"]: Found() for entry in entries}
        self._children: dict[tuple[int, int], int] = {}
        self._groups: dict[tuple[int, int | None], tuple[int, int]] = {}
        for entry in entries:
            tag, made = entry.details["tag"], entry.made
            if made is not None:
                self._children[made["pid"], made["start"]] = tag
                self._groups[made["pid"], entry.details.get("session")] = made["start"], tag
        self._earliest = min((entry.start for entry in entries), default=0)
        self._user = {os.geteuid()}
        self._missed = 0
        self._unrelated: set[int] = set()
        # Never kill this process or one of its ancestors.
        row = row_of("self")
        while row is not None and row.pid > 1:
            self._forget(self._tag_of(row))
            row = row_of(row.ppid)

    def _forget(self, tag: int | None) -> None:
        if tag is not None:
            self.found.pop(tag, None)

    def _tag_of(self, row: Row) -> int | None:
        """Return the tag of the child that a process by itself is proven to descend from; None if unproven."""
        tag = self._children.get((row.pid, row.start))
        if tag is not None:
            return tag if tag in self.found else None
        try:
            found = limit_on_locks(row.pid)
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
            found = None
            if row_of(row.pid) is None:
                self._miss()
                return None
        if found in self.found:
            key = row.pid, row.start
            if key in _seen_below or key in _writers or set(uids_of(row.pid)) <= self._user:
                return found
            self.found[found].doubtful[row.pid] = row
            return None
        if (row.pid, row.start) in _seen_below:
            return next(iter(self.found), None)
        start, tag = self._groups.get((row.pgrp, row.session), (0, None))
        if tag in self.found and row.start >= start and mark_of(row.pid):
            leader = row_of(row.pgrp)
            if leader is None or leader.start == start:
                return tag
        return None

    def look(self, at: Callable[[Row, Found], None] = lambda _row, _found: None) -> None:
        """Examine every process that may be related; call *at* for each proven one at once."""
        for found in self.found.values():
            found.doubtful.clear()
        proven: dict[int, int] = {}
        others: dict[int, Row] = {}

        def prove(row: Row, tag: int) -> None:
            proven[row.pid] = tag
            found = self.found[tag]
            found.proven[row.pid] = row
            found.doubtful.pop(row.pid, None)
            at(row, found)

        self._missed = 0
        for row in _processes(self._miss, self._unrelated):
            if row.has_ended or row.start < self._earliest:
                self._unrelated.add(row.pid)
                continue
            tag = proven.get(row.ppid)
            if tag is None:
                tag = self._tag_of(row)
            if tag is None:
                others[row.pid] = row
            else:
                prove(row, tag)
        # Processes listed before their parents.
        while more := [row for row in others.values() if row.ppid in proven]:
            for row in more:
                prove(others.pop(row.pid), proven[row.ppid])
        # An unrelated process remains unrelated in the next passes, milliseconds later.
        self._unrelated |= others.keys() - {pid for found in self.found.values() for pid in found.doubtful}

    def _miss(self) -> None:
        self._missed += 1

    def end(self) -> None:
        """Kill every proven process.

        Processes are stopped when found, and killed once a pass finds no more, as a process may fork during a pass, and
        a killed parent no longer proves its children. This repeats until two passes find none; a pass that missed
        processes counts only after MOST_POOR_LOOKS such passes.

        The reaper of a pytest that a child has started is given time to sweep that run.
        """
        reapers, patience = Deadline(PATIENCE_WITH_REAPERS), Deadline(PATIENCE)
        stopped: set[tuple[int, int]] = set()
        agreed = poor = looks = 0
        for _ in Deadline(None).rounds():
            lives: list[tuple[Row, Found]] = []
            known = len(stopped)

            def stop(row: Row, found: Found) -> None:
                if (row.pid, row.start) not in found.refused:
                    lives.append((row, found))  # noqa: B023 - called in this round alone
                    if (row.pid, row.start) not in stopped and not is_reaper(row.pid):
                        stopped.add((row.pid, row.start))
                        _send(row, found, signal.SIGSTOP)

            self.look(stop)
            if len(stopped) > known and (looks := looks + 1) < MOST_LOOKS:
                continue
            waits = False
            for row, found in lives:
                if not reapers.passed and is_reaper(row.pid):
                    waits = True
                else:
                    _send(row, found, signal.SIGKILL)
            if lives:
                agreed = poor = 0
            elif self._missed and poor < MOST_POOR_LOOKS:
                poor += 1
            else:
                agreed += 1
            if waits:
                patience = Deadline(PATIENCE)
            if agreed == 2 or (patience.passed and not waits):
                break
        for found in self.found.values():
            found.ended = True
            if agreed < 2:
                for row in filter(_lives, found.proven.values()):
                    found.refused.setdefault((row.pid, row.start), f"it is alive {PATIENCE:g} seconds after SIGKILL")


def _send(row: Row, found: Found, signo: int) -> None:
    if not signal_process(row.pid, lambda _pid: _lives(row), signo):
        found.refused[row.pid, row.start] = os.strerror(errno.EPERM)


# State shared by the searches of this process: the finished search, the ledgers' writers, and the processes to examine.
_ended: Search | None = None
_writers: Collection[tuple[int, int]] = ()  # by process id and start
_processes: Processes = processes


@contextmanager
def ended_together(
    entries: Sequence[Entry], writers: Collection[tuple[int, int]], *, dry_run: bool = False
) -> Iterator[None]:
    """Kill the children of all *entries* in one search; within the block, ended() returns its results.

    With *dry_run* only search for them: a search per entry would read all of /proc as often as there are entries.

    *writers* are the processes, by id and start, that have a ledger.
    """
    global _ended, _writers
    _writers = writers
    _ended = Search([entry for entry in entries if is_possible(entry)])
    try:
        if _ended.found:
            _ended.look() if dry_run else _ended.end()
        yield
    finally:
        _ended, _writers = None, ()


def ended(tag: int) -> Found | None:
    """Return the processes of the child with *tag* that ended_together() has found; None outside of it."""
    return _ended.found.get(tag) if _ended is not None else None


@contextmanager
def searching(through: Processes) -> Iterator[None]:
    """Within the block, examine the processes that *through* yields instead of all."""
    global _processes
    before, _processes = _processes, through
    try:
        yield
    finally:
        _processes = before


def _lives(row: Row) -> bool:
    now = row_of(row.pid)
    return now is not None and now.start == row.start and not now.has_ended


def is_possible(entry: Entry) -> bool:
    """Return whether the recorded process can have started the child: it is not older."""
    return entry.made is None or entry.made["start"] >= entry.start
