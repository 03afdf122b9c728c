"""Locks and leases that this process still holds (proc_locks(5))."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from errno import ENOENT

from ...kernel.locktable import proc_locks
from ...kernel.proc import contents
from ...unpatched import os
from ..leak import Detector, Snapshot
from ..owned import Owned

__all__ = ["DETECTORS"]


class Locks(Detector):
    """Each lock of this process by file and range.

    The kernel shows no process for a lock of an open file description; its descriptor is found as a leak instead.
    """

    kind = "locks"
    outlasts = True

    def snapshot(self) -> Snapshot:
        """Return the rows of /proc/locks that name this process."""
        own, found = b" %d " % os.getpid(), contents("/proc/locks")
        if own not in found:
            return {}
        return {line.partition(b": ")[2]: None for line in found.splitlines() if own in line}

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture holds the file open."""
        inodes = {os.stat(f"/proc/self/fd/{fd}").st_ino for fd in owned.descriptors}
        return _inode(key) in inodes

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return type, file and range."""
        for row in proc_locks() or ():
            if row.pid == os.getpid() and row.ino == _inode(key):
                return f"{row}, inode {row.ino}{_path(row.ino)}"
        raise FileNotFoundError(ENOENT, "the lock has been released")

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return how to release it."""
        return "it is released when the file is unlocked or closed"

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return True."""
        return True


def _inode(key: Hashable) -> int:
    assert isinstance(key, bytes)
    found = re.search(rb"[0-9a-f]+:[0-9a-f]+:(\d+)", key)
    return int(found[1]) if found else 0


def _path(inode: int) -> str:
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.stat(f"/proc/self/fd/{fd}").st_ino == inode:
                return f", {os.readlink(f'/proc/self/fd/{fd}')}"
        except OSError:
            continue  # the listing's own descriptor
    return ""


DETECTORS: dict[str, Callable[[], Detector]] = {"locks": Locks}
