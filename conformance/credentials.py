"""Credentials, namespaces and limits of a child; these changes cannot be undone.

Permission is checked by a trial call, never by uid; a change that is not permitted makes the clause untested.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from pytest_ipc import Need, untested
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

# IDs without accounts, which the kernel only compares.
OWNER, MEMBER, STRANGER = 61001, 61002, 61003
GROUP, OTHER_GROUP = 61101, 61102


NS_GET_USERNS = 0xB701  # ioctl_ns(2)


def capabilities_count_for(kind: str) -> bool:
    """Return whether the capabilities of this process apply to its namespace of this *kind*, such as "ipc" or "pid".

    They apply if its user namespace owns the namespace: root of a user namespace has all capabilities, but none over
    namespaces created before. True where the kernel does not report the owner.
    """
    try:
        with open(f"/proc/self/ns/{kind}") as namespace:
            owner = fcntl.ioctl(namespace, NS_GET_USERNS)
        try:
            return os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user"))
        finally:
            os.close(owner)
    except PermissionError:
        return False  # the owner is not visible
    except OSError:
        return True


def act_as_another() -> None:
    """Set the effective IDs of this child to STRANGER and OTHER_GROUP. Untested if not permitted."""
    try:
        os.setresgid(GROUP, OTHER_GROUP, GROUP)
        os.setresuid(OWNER, STRANGER, OWNER)
    except OSError as error:
        untested(Need.OTHER_USERS, f"needs CAP_SETUID and CAP_SETGID: {error.strerror}")


def become(uid: int, gid: int) -> None:
    """Change this child to another user without capabilities. Untested if not permitted."""
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        untested(Need.OTHER_USERS, f"needs CAP_SETUID and CAP_SETGID, and ids that are mapped here: {error.strerror}")
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # cleared by the change of user


def leave(flags: int) -> None:
    """Move this child to new namespaces, with a user namespace if it needs one. Untested if not permitted."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        try:
            unshare(flags)
        except PermissionError:
            unshare(flags | CLONE_NEWUSER)
            map_user(0, 0, uid, gid)
    except OSError as error:
        untested(
            Need.IPC_NAMESPACES, f"needs CAP_SYS_ADMIN, or user namespaces for unprivileged users: {error.strerror}"
        )


def limit_process(name: str, soft: int, hard: int | None = None) -> None:
    """Set a limit of this child, such as "NOFILE"; *hard* None keeps the hard limit.

    Untested if the hard limit is lower.
    """
    number = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(number)[1]
    try:
        resource.setrlimit(number, (soft, most if hard is None else hard))
    except (OSError, ValueError):  # Python raises ValueError for some errnos
        untested(Need.PROCESS_LIMITS, f"RLIMIT_{name} is at most {most}, and the clause needs {max(soft, hard or 0)}")


def change_limit(name: str, value: int | str) -> None:
    """Set a limit in a namespace of this process. Untested if /proc/sys is not writable, as in most containers."""
    try:
        set_limit(name, value)
    except OSError as error:
        untested(Need.NAMESPACE_LIMITS, f"cannot write /proc/sys/{name} in a new namespace: {error.strerror}")


def mount_tmpfs(path: str | os.PathLike[str], flags: int = 0, options: str | None = None) -> None:
    """Mount a tmpfs in a new mount namespace of this child. Untested if not permitted."""
    try:
        before = os.readlink("/proc/self/ns/mnt")
        leave(CLONE_NEWNS)
        if (
            os.readlink("/proc/self/ns/mnt") == before
        ):  # a sandbox whose unshare() succeeds without effect: the mount would be global
            untested(Need.MOUNTS, "needs a mount namespace, and unshare makes none")
        with suppress(OSError):  # keeps the mount private; fails if it is already
            mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("none", path, "tmpfs", flags, options)
    except OSError as error:
        untested(
            Need.MOUNTS,
            f"needs a mount of its own: CAP_SYS_ADMIN, or user namespaces for unprivileged users: {error.strerror}",
        )


def type_of_file_system(path: str | os.PathLike[str]) -> str:
    """Return the filesystem type of *path*, by /proc/self/mountinfo (proc(5)); the last mount at a path counts."""
    best, found = "", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4]
        if len(point) >= len(best) and f"{os.fspath(path)}/".startswith(point.rstrip("/") + "/"):
            best, found = point, fields[fields.index("-") + 1]
    return found
