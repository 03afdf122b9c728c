"""Enter namespaces of its own, and execute a program there, for --ipc-isolate.

Workers are started through it, so it does not import pytest. isolation.py explains why a worker cannot enter a user
namespace itself.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from ..kernel.capability import capget, capset
from ..kernel.namespace import CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_SLAVE, map_user, mount, unshare
from ..unpatched import os

__all__ = ["PLACES", "main", "move"]

# The directories of POSIX objects, and the types of their file systems.
PLACES = {"/dev/shm": "tmpfs", "/dev/mqueue": "mqueue"}


def move() -> dict[str, str]:
    """Move this process to a new IPC namespace, with its own /dev/shm and /dev/mqueue.

    It moves to a new user namespace too if that is needed; the ids of the user and the capabilities of the process stay
    the same. Return the reason for each directory that remains shared. Raises OSError.
    """
    try:
        unshare(CLONE_NEWIPC)
    except PermissionError:
        uid, gid, before = os.geteuid(), os.getegid(), capget()
        unshare(CLONE_NEWUSER | CLONE_NEWIPC)
        map_user(uid, gid, uid, gid)
        shared = _mount_own()
        capset(before)
        return shared
    return _mount_own()


def _mount_own() -> dict[str, str]:
    """Mount an empty file system at each of the PLACES, visible to this process and its descendants only."""
    try:
        sizes = {place: os.statvfs(place) for place in PLACES if os.path.isdir(place)}
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_SLAVE)
    except OSError as error:
        return dict.fromkeys(PLACES, error.strerror or str(error))
    shared = {}
    for place, fstype in PLACES.items():
        if place not in sizes:
            continue
        options = f"mode=1777,size={sizes[place].f_blocks * sizes[place].f_frsize}" if fstype == "tmpfs" else None
        try:
            mount(fstype, place, fstype, 0, options)
        except OSError as error:
            shared[place] = error.strerror or str(error)
    return shared


def main() -> None:
    """Move, and execute the program in the arguments. The worker reports a failed move."""
    with suppress(OSError):  # the worker finds out that it has not moved, and reports it
        move()
    os.execv(sys.argv[1], sys.argv[1:])
