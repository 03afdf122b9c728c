"""Enter an IPC namespace and execute a program there, for --ipc-isolate.

Workers are started through it, so it imports no pytest.

Why a user namespace is entered by a program before it is a worker, see isolation.py.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from ..kernel.capability import capget, capset
from ..kernel.namespace import CLONE_NEWIPC, CLONE_NEWUSER, map_user, unshare
from ..unpatched import os

__all__ = ["main", "move"]


def move() -> None:
    """Move this process to a new IPC namespace, and to a user namespace of its own if that is needed. OSError.

    In that one this user is who he was, and has no more capabilities than before.
    """
    try:
        unshare(CLONE_NEWIPC)
    except PermissionError:
        uid, gid, before = os.geteuid(), os.getegid(), capget()
        unshare(CLONE_NEWUSER | CLONE_NEWIPC)
        map_user(uid, gid, uid, gid)
        capset(before)


def main() -> None:
    """Move, and become the program in the arguments. If that cannot be, the worker finds out and says so."""
    with suppress(OSError):
        move()
    os.execv(sys.argv[1], sys.argv[1:])
