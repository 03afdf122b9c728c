"""Find and end the descendants that outlive a child, including daemons.

While children live, this process is a subreaper (PR_SET_CHILD_SUBREAPER): a descendant whose parent ends becomes its
child and not init's. So all descendants of its children stay below this process. Tag and mark (descendants.py) assign
an orphan to the child that it came from; an orphan with neither is not touched, as it may be a process that the test
has started itself and waits for.
"""

from __future__ import annotations

import ctypes
import errno
from _thread import RLock
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
from ..custody.identity import TAGS, Process, proc_is_mounted, tag_of
from ..kernel.process import PR_SET_CHILD_SUBREAPER, prctl
from ..kernel.waiting import Deadline
from ..unpatched import os
from . import history

__all__ = ["adopt", "descendants", "end", "let_go", "started"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_PR_GET_CHILD_SUBREAPER = 37

# Seconds. A process ends much sooner after SIGKILL; the reaper of a run below a child may need longer.
_PATIENCE = 2.0
_PATIENCE_WITH_REAPERS = 10.0

# The living children by tag; their parent, its session, and whether it was a subreaper before the first child.
_children: dict[int, Process | None] = {}
_state = {"pid": 0, "before": 0, "session": 0, "is_subreaper": 0, "sees_processes": 0}
# Threads start and end children at the same time.
_locks = {0: RLock()}


def adopt(tag: int) -> None:
    """Make this process the subreaper of the child with *tag*, which is about to be started."""
    if _state["pid"] != os.getpid():
        _locks[0] = RLock()  # a thread of the parent may have held the other
        _state["pid"] = os.getpid()
        _children.clear()
    with _locks[0]:
        if not _children:
            _state["before"] = _state["is_subreaper"] = 0
            with suppress(OSError):  # a seccomp filter: orphans go to init, and are found by their mark
                _state["before"] = _subreaper_setting()
                prctl(PR_SET_CHILD_SUBREAPER, 1)
                _state["is_subreaper"] = 1
            _state["session"], _state["sees_processes"] = os.getsid(0), proc_is_mounted()
        else:
            _reap_orphans()
        _children[tag] = None


def started(tag: int, process: Process) -> None:
    """Note that the child with *tag* is *process*."""
    _children[tag] = process


def let_go(tag: int) -> None:
    """Forget the child with *tag*, which has ended with its orphans; after the last, restore the subreaper setting."""
    if _state["pid"] != os.getpid():
        return
    with _locks[0]:
        _children.pop(tag, None)
        if not _children:
            _reap_orphans()
            _state["is_subreaper"] = 0  # a close() after a failed one must not take it for the test's doing
            with suppress(OSError):  # a seccomp filter
                prctl(PR_SET_CHILD_SUBREAPER, _state["before"])


def descendants(process: Process) -> set[tuple[int, int]]:
    """Return the descendants of a living child by process id and start time, before it is killed."""
    return {(row.pid, row.start) for row in below(process.pid)} if lists_children() else set()


def end(tag: int, process: Process, known: AbstractSet[tuple[int, int]] = frozenset()) -> None:
    """Kill and reap every descendant of the child *process* with *tag*, which has ended.

    *known* are descendants that it had when it lived. A reaper of a pytest that the child started is waited for, not
    killed: it removes the leftovers of that pytest. Raises OSError if a process cannot be killed.
    """
    _check_sight()
    found = set(known)
    left: Row | None = None
    agreed = 0
    reapers, patience = Deadline(_PATIENCE_WITH_REAPERS), Deadline(_PATIENCE)
    # When one has ended, its children become this process's: repeat until two rounds in a row find none.
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
                signal_process(row.pid, lambda _pid, row=row: _is_still(row))  # type: ignore[misc] # no lambda has defaults for mypy
                _reap(row.pid)
        agreed = 0 if left else agreed + 1
        if agreed == 2:
            return
        if waits:
            patience = Deadline(_PATIENCE)
        elif patience.passed:
            break
    if left:
        raise OSError(
            errno.ETIMEDOUT, f"process {left.pid}, a descendant of a child, cannot be killed; does another user own it?"
        )


def _subreaper_setting() -> int:
    setting = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(setting))
    return setting.value


def _check_sight() -> None:
    """Raise OSError if the test has made it impossible to find orphans; the reaper finds them at the end of the run."""
    if _state["sees_processes"]:
        try:
            os.listdir("/proc/self/task")
        except OSError as error:
            error.strerror = f"descendants of a child cannot be found until the run ends: {error.strerror}"
            raise
    if _state["is_subreaper"] and not _subreaper_setting():
        raise OSError(
            errno.ECHILD,
            "descendants of a child cannot be found until the run ends, because the test has reset "
            "PR_SET_CHILD_SUBREAPER (prctl(2)) of its process",
        )


def _orphans() -> list[Row]:
    """Return the children of this process except those of the fixture: started by the test, or orphans."""
    own = {child.pid for child in list(_children.values()) if child}
    if not lists_children():
        return [row for row in processes() if row.ppid == os.getpid() and row.pid not in own]
    return [row for pid in children_of("self") if pid not in own and (row := row_of(pid)) is not None]


def _is_below(row: Row, tag: int, process: Process) -> bool:
    """Return whether a child of this process was a descendant of the child *process* with *tag*.

    Children of children have tags of their own: a tag that belongs neither to this process nor to one of its living
    children was set by a child that has ended.
    """
    found = tag_of(row.pid)
    if found == tag:
        return True
    if found is not None and TAGS[0] <= found <= TAGS[1] and found != tag_of("self"):
        return found not in _children
    if row.pgrp == process.pid:
        return True
    # It has lost its tag: it belongs to *process* if no other child is old enough.
    mark = mark_of(row.pid)
    if mark in (0, mark_of("self")):
        return False
    others = [other for other in list(_children.values()) if other and other != process]
    return not any(other.start <= row.start for other in others)


def _reap_orphans() -> None:
    """Reap the zombies that this process adopted and did not start itself.

    Such a process has the tag of a living child; or it is in a session that is neither its own nor this process's,
    which holds only for a descendant of that session's leader.
    """
    sessions = {os.getsid(0), _state["session"]}
    for row in _orphans():
        if row.has_ended:
            tag = tag_of(row.pid)
            child = _children.get(tag) if tag is not None else None
            # None: the child of this tag is being started, and may be this process, as another thread may know by now.
            if (child is not None and child.pid != row.pid) or row.session not in {*sessions, row.pid}:
                _reap(row.pid)


def _reap(pid: int) -> None:
    history.started(pid)
    with failures_ignored:  # not a child of this process, or reaped by the test
        os.waitpid(pid, os.WNOHANG)


def _is_still(row: Row) -> bool:
    now = row_of(row.pid)
    return now is not None and now.start == row.start
