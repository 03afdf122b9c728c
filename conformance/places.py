"""Whom and where a clause is tried as: another user, a namespace of its own. For children; none of it can be undone.

What is not allowed here is tried and found out, not guessed from a user id, and makes the clause untested.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from pytest_ipc import CLONE_NEWIPC, CLONE_NEWUSER, PR_SET_PDEATHSIG, prctl, set_limit, unshare, untested

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


def enter_ipc_namespace(limits: dict[str, int]) -> None:
    """Move this process, a child, into an IPC namespace of its own with *limits*. Untested where that is not allowed."""
    uid, gid = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWIPC)
    except PermissionError:
        try:
            unshare(CLONE_NEWUSER | CLONE_NEWIPC)
            with suppress(FileNotFoundError):
                write_once("/proc/self/setgroups", "deny")
            write_once("/proc/self/uid_map", f"0 {uid} 1")
            write_once("/proc/self/gid_map", f"0 {gid} 1")
        except OSError as error:
            untested(f"needs an IPC namespace: CAP_SYS_ADMIN, or user namespaces for ordinary users: {error.strerror}")
    except OSError as error:
        untested(f"needs an IPC namespace: {error.strerror}")
    for name, value in limits.items():
        change_limit(name, value)


def change_limit(name: str, value: int) -> None:
    """Set a limit in a namespace of this process's own. Untested where /proc/sys cannot be written, as in most containers."""
    try:
        set_limit(name, value)
    except OSError as error:
        untested(f"cannot write /proc/sys/{name} in a namespace of its own: {error.strerror}")


def write_once(path: str, text: str) -> None:
    """One write, whose error is this call's."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
