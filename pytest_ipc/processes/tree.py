"""Descendants of a child that outlive it, daemons without any remaining tie included.

While children live this process is a subreaper (PR_SET_CHILD_SUBREAPER): a descendant whose parent ends becomes its
child and not init's. So all that a child has started is below this process, and no other process is. Which of this
process's children came from which child of the fixture, tag and mark tell (descendants.py); what neither of them tells
is left alone, for it may be a process that the test has started itself and waits for.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Set as AbstractSet
from contextlib import suppress

from ..custody.cleanup import failures_ignored
from ..custody.descendants import (
    Row,
    below,
    children_of,
    is_reaper,
    lists_children,
    mark_of,
    processes,
    row_of,
    signal_process,
)
from ..custody.identity import TAGS, Process, tag_of
from ..kernel.process import PR_SET_CHILD_SUBREAPER, prctl
from ..kernel.waiting import Deadline
from ..unpatched import os

__all__ = ["adopt", "descendants", "end", "let_go", "started"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_PR_GET_CHILD_SUBREAPER = 37

# Seconds. A process that was sent SIGKILL is gone in far less; the reaper of a run below a child has work to do.
_PATIENCE = 2.0
_PATIENCE_WITH_REAPERS = 10.0

# The children that live, by tag; the process they live in, its session, and whether it was a subreaper before the
# first.
_children: dict[int, Process | None] = {}
_state = {"pid": 0, "before": 0, "session": 0}


def adopt(tag: int) -> None:
    """Have the orphans of the child with *tag*, which is about to be started, come to this process."""
    if _state["pid"] != os.getpid():
        _state["pid"] = os.getpid()
        _children.clear()
    if not _children:
        before = ctypes.c_int()
        with suppress(OSError):
            prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(before))
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        _state["before"], _state["session"] = before.value, os.getsid(0)
    else:
        _reap_orphans()
    _children[tag] = None


def started(tag: int, process: Process) -> None:
    """The child with *tag* is *process*."""
    _children[tag] = process


def let_go(tag: int) -> None:
    """The child with *tag* has ended, with its orphans; after the last one this process is what it was."""
    if _state["pid"] != os.getpid():
        return
    _children.pop(tag, None)
    if not _children:
        _reap_orphans()
        with suppress(OSError):
            prctl(PR_SET_CHILD_SUBREAPER, _state["before"])


def descendants(process: Process) -> set[tuple[int, int]]:
    """Return what is below a child that lives, by process id and start: to be asked before it is killed."""
    return {(row.pid, row.start) for row in below(process.pid)} if lists_children() else set()


def end(tag: int, process: Process, known: AbstractSet[tuple[int, int]] = frozenset()) -> None:
    """End and reap every descendant of the child *process* with *tag*, which has ended. OSError if one cannot be ended.

    *known* are some that were below it when it lived.

    The reaper of a pytest that the child has started is waited for: what that pytest has left is its work.
    """
    found = set(known)
    left: Row | None = None
    agreed = 0
    reapers, patience = Deadline(_PATIENCE_WITH_REAPERS), Deadline(_PATIENCE)
    # Each one's children become this process's when it has ended: again, until two looks agree that there is none.
    for _ in Deadline(None).rounds():
        left = None
        waits = False
        for row in _orphans():
            if (row.pid, row.start) not in found and not _is_below(row, tag, process):
                continue
            left = row
            if row.has_ended:
                _reap(row.pid)
            elif not reapers.passed and is_reaper(row.pid):
                waits = True
            else:
                found.add((row.pid, row.start))
                signal_process(row.pid, lambda _pid, row=row: _is_still(row))  # type: ignore[misc]
                _reap(row.pid)
        agreed = 0 if left else agreed + 1
        if agreed == 2:
            return
        if waits:
            patience = Deadline(_PATIENCE)
        elif patience.passed:
            break
    if left:
        raise OSError(errno.ETIMEDOUT, f"process {left.pid} below a child cannot be ended; another user's by now?")


def _orphans() -> list[Row]:
    """The children of this process but for those of the fixture: what it has started itself and what has come to it."""
    own = {child.pid for child in _children.values() if child}
    if not lists_children():
        return [row for row in processes() if row.ppid == os.getpid() and row.pid not in own]
    return [row for pid in children_of("self") if pid not in own and (row := row_of(pid)) is not None]


def _is_below(row: Row, tag: int, process: Process) -> bool:
    """Whether a child of this process came to it from the child *process* with *tag*, or from one below that.

    Those have tags of their own. A tag that is neither this process's nor that of a child of its own that lives can
    only have been given by a child that has ended.
    """
    found = tag_of(row.pid)
    if found == tag:
        return True
    if found is not None and TAGS[0] <= found <= TAGS[1] and found != tag_of("self"):
        return found not in _children
    if row.pgrp == process.pid:
        return True
    # It has lost its tag. Then it is of the only child that it can be of.
    mark = mark_of(row.pid)
    if mark in (0, mark_of("self")):
        return False
    others = [other for other in _children.values() if other and other != process]
    return not any(other.start <= row.start for other in others)


def _reap_orphans() -> None:
    """Reap what has ended and surely was not started by this process, but came to it: its parent would have, or init.

    It has the tag of a child that lives; or it is in a session that is neither its own nor this process's, which only a
    descendant of the session's leader can be.
    """
    sessions = {os.getsid(0), _state["session"]}
    for row in _orphans():
        if row.has_ended:
            tag = tag_of(row.pid)
            # None: its process is not known yet, and may be this one.
            if (tag is not None and _children.get(tag) is not None) or row.session not in {*sessions, row.pid}:
                _reap(row.pid)


def _reap(pid: int) -> None:
    with failures_ignored:  # not come to this process, and not this process's to reap; or reaped by the test
        os.waitpid(pid, os.WNOHANG)


def _is_still(row: Row) -> bool:
    now = row_of(row.pid)
    return now is not None and now.start == row.start
