"""Children in custody, with all below them: whoever has the record's tag, wherever it has put itself."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...kernel.waiting import Deadline
from ...unpatched import os, signal
from ..checks import CHILD, is_number
from ..identity import TAGS, Process, start_of, stat_of, tag_of, tagged
from .kind import Entry, Kind

__all__ = ["CHILDREN", "end_process", "is_zombie"]


def _find_child(entry: Entry) -> Any:
    found = {pid for pid in tagged(entry.details["tag"]) if not is_zombie(pid)}
    if entry.made is not None and Process(**entry.made).alive():
        found.add(entry.made["pid"])
    return found or None


def _prove_child(entry: Entry, found: set[int]) -> str | None:
    # Each one is asked again when it is ended, once a pidfd has pinned who it is.
    if Process.current().pid in found:
        return "it is this very process"
    if entry.made is not None and entry.made["start"] < entry.start:
        return "it is older than the process that started it"
    return None


def _remove_child(entry: Entry, found: set[int]) -> None:
    def is_ours(pid: int) -> bool:
        made = entry.made or {}
        return tag_of(pid) == entry.details["tag"] or (pid, start_of(pid)) == (made.get("pid"), made.get("start"))

    # One of them may fork while the list is gone through: again, until all that is left is zombies. But one may also be
    # another user's by now, or asleep where no signal reaches it.
    for _ in Deadline(PATIENCE).rounds():
        for pid in found:
            end_process(pid, is_ours)
        found = _find_child(entry)
        if not found:
            return
    raise OSError(errno.ETIMEDOUT, f"process {min(found)} cannot be ended")


# Seconds. A process that was sent SIGKILL is gone in far less.
PATIENCE = 2.0


def is_zombie(pid: int) -> bool:
    """Whether the process has ended: a zombie, or gone altogether."""
    found = stat_of(pid)
    return found is None or found[0] in "ZX"


def end_process(pid: int, is_ours: Callable[[int], bool]) -> None:
    """SIGKILL a process through a pidfd, after asking *is_ours* once the pidfd has pinned whom one asks about."""
    if pid <= 1:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):  # no pidfd_open: as near to the question as it can be
        if is_ours(pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return
    try:
        if is_ours(pid):
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)


def _describe_child(entry: Entry) -> str:
    return f"child process {entry.made['pid']}" if entry.made else "child process"


CHILDREN = Kind(
    "process",
    _find_child,
    _prove_child,
    _remove_child,
    _describe_child,
    needs={"tag": is_number(*TAGS)},
    made=CHILD,
)
