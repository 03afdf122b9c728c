"""Whom and where a clause is tried as, and with which limits. For children; none of it can be undone.

What is not allowed here is tried and found out, not guessed from a user id, and makes the clause untested.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from pytest_ipc import untested
from pytest_ipc.kernel import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_PRIVATE,
    MS_REC,
    PR_SET_PDEATHSIG,
    map_user,
    mount,
    prctl,
    set_limit,
    unshare,
)

# Numbers that no account needs to have: the kernel compares them and nothing else.
OWNER, MEMBER, STRANGER = 61001, 61002, 61003
GROUP, OTHER_GROUP = 61101, 61102


NS_GET_USERNS = 0xB701  # ioctl_ns(2)


def capabilities_count_for(kind: str) -> bool:
    """Whether the capabilities of this process are of use in its namespace of this *kind*, as "ipc" or "pid".

    It must belong to the user namespace of the process: root of a user namespace has them all and no power over what was there
    before. True where the kernel does not tell.
    """
    try:
        with open(f"/proc/self/ns/{kind}") as namespace:
            owner = fcntl.ioctl(namespace, NS_GET_USERNS)
        try:
            return os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
        finally:
            os.close(owner)
    except PermissionError:
        return False  # the owner is out of sight
    except OSError:
        return True


def act_as_another() -> None:
    """Give this process, a child, effective ids that are not its real ones: STRANGER and OTHER_GROUP. Untested where it may not."""
    try:
        os.setresgid(GROUP, OTHER_GROUP, GROUP)
        os.setresuid(OWNER, STRANGER, OWNER)
    except OSError as error:
        untested(f"needs CAP_SETUID and CAP_SETGID: {error.strerror}")


def become(uid: int, gid: int) -> None:
    """Make this process, a child, another user with no capability at all. Untested where that is not allowed."""
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        untested(f"needs CAP_SETUID and CAP_SETGID, and ids that are mapped here: {error.strerror}")
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user has cleared it


def leave(flags: int) -> None:
    """Move this process, a child, to new namespaces, with a user namespace if it may not without. Untested where it may not."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        try:
            unshare(flags)
        except PermissionError:
            unshare(flags | CLONE_NEWUSER)
            map_user(0, 0, uid, gid)
    except OSError as error:
        untested(f"needs CAP_SYS_ADMIN, or user namespaces for ordinary users: {error.strerror}")


def limit_process(name: str, soft: int, hard: int | None = None) -> None:
    """Set a limit of this process, a child, as "NOFILE"; *hard* stays where none is given. Untested where its hard limit is lower."""
    number = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(number)[1]
    try:
        resource.setrlimit(number, (soft, most if hard is None else hard))
    except (OSError, ValueError):  # ValueError is what Python makes of some errnos
        untested(f"RLIMIT_{name} is at most {most}, and the clause needs {max(soft, hard or 0)}")


def change_limit(name: str, value: int | str) -> None:
    """Set a limit in a namespace of this process's own. Untested where /proc/sys cannot be written, as in most containers."""
    try:
        set_limit(name, value)
    except OSError as error:
        untested(f"cannot write /proc/sys/{name} in a namespace of its own: {error.strerror}")


def mount_tmpfs(path: str | os.PathLike[str], flags: int = 0, options: str | None = None) -> None:
    """Mount a tmpfs in a mount namespace of this process's own, a child's. Untested where that is not allowed."""
    try:
        before = os.readlink("/proc/self/ns/mnt")
        leave(CLONE_NEWNS)
        if (
            os.readlink("/proc/self/ns/mnt") == before
        ):  # a sandbox that says yes and does nothing: all would see the mount
            untested("needs a mount namespace, and unshare makes none")
        with suppress(OSError):  # so that nothing of this is seen outside; refused where it is so already
            mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("none", path, "tmpfs", flags, options)
    except OSError as error:
        untested(f"needs a mount of its own: CAP_SYS_ADMIN, or user namespaces for ordinary users: {error.strerror}")


def type_of_file_system(path: str | os.PathLike[str]) -> str:
    """The type of what *path* lies on, by /proc/self/mountinfo (proc(5)); the last mount there is the one that counts."""
    best, found = "", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4]
        if len(point) >= len(best) and f"{os.fspath(path)}/".startswith(point.rstrip("/") + "/"):
            best, found = point, fields[fields.index("-") + 1]
    return found
