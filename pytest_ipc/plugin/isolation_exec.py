"""Enter an IPC namespace and execute a program there, for --ipc-isolate.

Workers are started through it, so it does not import pytest. isolation.py explains why a worker cannot enter a user
namespace itself.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from ..kernel.capability import capget, capset
from ..kernel.namespace import CLONE_NEWIPC, CLONE_NEWUSER, map_user, unshare
from ..unpatched import os

__all__ = ["main", "move"]


def move() -> None:
    """Move this process to a new IPC namespace, and to a new user namespace if that is needed.

    The ids of the user and the capabilities of the process stay the same. Raises OSError.
    """
    try:
        unshare(CLONE_NEWIPC)
    except PermissionError:
        uid, gid, before = os.geteuid(), os.getegid(), capget()
        unshare(CLONE_NEWUSER | CLONE_NEWIPC)
        map_user(uid, gid, uid, gid)
        capset(before)


def main() -> None:
    """Move, and execute the program in the arguments. The worker reports a failed move."""
    with suppress(OSError):  # the worker finds out that it has not moved, and reports it
        move()
    os.execv(sys.argv[1], sys.argv[1:])
