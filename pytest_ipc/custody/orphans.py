"""Orphans: what a child has started and left behind, daemons that have cut every tie included.

While actors live this process is a subreaper (PR_SET_CHILD_SUBREAPER): whoever loses his parent below it becomes its child
and not init's. Its tag then tells an actor's descendant from a child that the test has started by other means. Where the
kernel shows no tag, process groups are all there is to go by, and only those of the actors are ended.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from ..kernel.process import PR_SET_CHILD_SUBREAPER, prctl
from .identity import tag_of, tagged
from .kinds import end_process

__all__ = ["adopt", "end", "let_go"]

_PR_GET_CHILD_SUBREAPER = 37

# How many actors live, in which process, and whether it was a subreaper before the first.
_state = {"pid": 0, "actors": 0, "before": 0}


def adopt() -> None:
    """An actor is about to be started: its orphans come to this process."""
    if _state["pid"] != os.getpid():
        _state.update(pid=os.getpid(), actors=0)
    if _state["actors"] == 0:
        before = ctypes.c_int()
        with suppress(OSError):
            prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(before))
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        _state["before"] = before.value
    _state["actors"] += 1


def let_go() -> None:
    """An actor has ended, with its orphans; after the last one this process is what it was."""
    if _state["pid"] != os.getpid():
        return
    _state["actors"] -= 1
    if _state["actors"] == 0:
        with suppress(OSError):
            prctl(PR_SET_CHILD_SUBREAPER, _state["before"])


def end(tag: int) -> None:
    """End and reap every descendant of the actor with *tag*, which has ended itself."""
    # Each one's children become this process's when it has ended: again, until none comes.
    while found := _ours(tag):
        for pid in found:
            end_process(pid, lambda pid: tag_of(pid) == tag)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _ours(tag: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as file:
                children += map(int, file.read().split())
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        children = tagged(tag)
    return [pid for pid in children if tag_of(pid) == tag]
