"""Whom a clause is tried as, and with which limits. For children; none of it can be undone.

What is not allowed here is tried and found out, not guessed from a user id, and makes the clause untested.
"""

from __future__ import annotations

import os
import signal

from pytest_ipc import PR_SET_PDEATHSIG, prctl, set_limit, untested

# Numbers that no account needs to have: the kernel compares them and nothing else.
OWNER, MEMBER, STRANGER = 61001, 61002, 61003
GROUP, OTHER_GROUP = 61101, 61102


def become(uid: int, gid: int) -> None:
    """Make this process, a child, another user with no capability at all. Untested where that is not allowed."""
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        untested(f"needs CAP_SETUID and CAP_SETGID, and ids that are mapped here: {error.strerror}")
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user has cleared it


def change_limit(name: str, value: int | str) -> None:
    """Set a limit in a namespace of this process's own. Untested where /proc/sys cannot be written, as in most containers."""
    try:
        set_limit(name, value)
    except OSError as error:
        untested(f"cannot write /proc/sys/{name} in a namespace of its own: {error.strerror}")
