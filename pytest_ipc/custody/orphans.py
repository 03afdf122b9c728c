"""Orphans: what a child has started and left behind, daemons that have cut every tie included.

While actors live this process is a subreaper (PR_SET_CHILD_SUBREAPER): whoever loses his parent below it becomes its child
and not init's. Its tag then tells an actor's descendant from a child that the test has started by other means. Where the
kernel shows no tag, process groups are all there is to go by, and only those of the actors are ended.
"""

from __future__ import annotations

import ctypes
import errno
from contextlib import suppress

from ..kernel.process import PR_SET_CHILD_SUBREAPER, prctl
from ..kernel.waiting import Deadline
from ..unpatched import io, os
from .identity import TAGS, tag_of, tagged
from .kinds import end_process, is_zombie

__all__ = ["adopt", "end", "let_go"]

_PR_GET_CHILD_SUBREAPER = 37

# Seconds. A process that was sent SIGKILL is gone in far less.
_PATIENCE = 2.0

# The tags of the actors that live, the process they live in, and whether it was a subreaper before the first.
_actors: set[int] = set()
_state = {"pid": 0, "before": 0}


def adopt(tag: int) -> None:
    """The actor with *tag* is about to be started: its orphans come to this process."""
    if _state["pid"] != os.getpid():
        _state["pid"] = os.getpid()
        _actors.clear()
    if not _actors:
        before = ctypes.c_int()
        with suppress(OSError):
            prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(before))
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        _state["before"] = before.value
    _actors.add(tag)


def let_go(tag: int) -> None:
    """The actor with *tag* has ended, with its orphans; after the last one this process is what it was."""
    if _state["pid"] != os.getpid():
        return
    _actors.discard(tag)
    if not _actors:
        with suppress(OSError):
            prctl(PR_SET_CHILD_SUBREAPER, _state["before"])


def end(tag: int) -> None:
    """End and reap every descendant of the actor with *tag*, which has ended itself. OSError if one cannot be ended."""
    found: list[int] = []
    # Each one's children become this process's when it has ended: again, until none comes.
    for _ in Deadline(_PATIENCE).rounds():
        found = _below(tag)
        if not found:
            return
        for pid in found:
            end_process(pid, lambda pid: _is_below(pid, tag))
            with suppress(ChildProcessError):  # it has not come to this process, and is not this process's to reap
                os.waitpid(pid, os.WNOHANG)
    raise OSError(errno.ETIMEDOUT, f"process {found[0]} below a child cannot be ended; another user's by now?")


def _below(tag: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            with io.open(f"/proc/self/task/{thread}/children") as file:
                children += map(int, file.read().split())
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        children = [pid for pid in tagged(tag) if not is_zombie(pid) or _is_child(pid)]
    return [pid for pid in children if _is_below(pid, tag)]


def _is_child(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _is_below(pid: int, tag: int) -> bool:
    """Whether a child of this process came to it from the actor with *tag*, or from an actor of that one's.

    Those have tags of their own. A tag that is neither this process's nor that of an actor of its own that lives can only
    have been given by an actor that has ended.
    """
    found = tag_of(pid)
    if found is None or found == tag:
        return found is not None
    return TAGS[0] <= found <= TAGS[1] and found not in _actors and found != tag_of("self")
