"""user_namespaces(7): mapped IDs, and capabilities over IPC objects."""

from __future__ import annotations

import os
from errno import EACCES, EPERM
from pathlib import Path

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWUSER,
    IPC_PRIVATE,
    PR_SET_DUMPABLE,
    capget,
    limit,
    map_user,
    prctl,
    shmat,
    shmctl_rmid,
    shmctl_stat,
    shmdt,
    shmget,
    sysvipc_shm,
    unshare,
)


def enter_user_namespace(also: int = 0) -> tuple[int, int]:
    """Move this child to a new user namespace without ID maps, and to
    the namespaces of the flags *also*; return its outer IDs.
    """
    outside = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWUSER)
    except OSError as error:
        untested(Need.USER_NAMESPACES, f"needs user namespaces for unprivileged users: {error.strerror}")
    prctl(PR_SET_DUMPABLE, 1)  # after a change of uid its files in /proc are root's
    if also:
        unshare(also)
    return outside


@clause("userns.maker-has-all-capabilities", "user_namespaces(7)", "Capabilities", since="3.8")
def test_creator_has_all_capabilities(unprivileged):
    """A process that creates a user namespace has all capabilities in it."""

    def child() -> tuple[int, int]:
        before = capget().effective
        enter_user_namespace()
        return before, capget().effective

    before, after = unprivileged(child)
    last = limit("kernel/cap_last_cap")
    if last is None:
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/cap_last_cap")
    assert (before, after) == (0, (1 << (last + 1)) - 1)


@clause(
    "userns.power-over-own-ipc", "user_namespaces(7)", "Interaction of user namespaces and other types of namespaces"
)
def test_capabilities_apply_to_an_owned_ipc_namespace(unprivileged):
    """CAP_IPC_OWNER in a user namespace permits shmat() without permissions in an IPC namespace that it owns."""

    def child() -> None:
        enter_user_namespace(CLONE_NEWIPC)
        shmdt(shmat(shmget(IPC_PRIVATE, 1, 0)))

    unprivileged(child)


@clause(
    "userns.no-power-over-others-ipc",
    "user_namespaces(7)",
    "Interaction of user namespaces and other types of namespaces",
    errno=EACCES,
)
def test_capabilities_do_not_apply_to_another_ipc_namespace(unprivileged):
    """shmat() without permissions fails with EACCES in an IPC namespace that another user namespace owns."""

    def child() -> None:
        shmid = shmget(IPC_PRIVATE, 1, 0)
        try:
            enter_user_namespace()
            with fails_with(EACCES):
                shmat(shmid)
        finally:
            shmctl_rmid(shmid)

    unprivileged(child)


@clause("userns.ids-before-the-map-overflow", "user_namespaces(7)", "Unmapped user and group IDs")
def test_unmapped_owner_is_the_overflow_id(unprivileged):
    """shmctl() with IPC_STAT returns the overflow user and group IDs for an owner that is not mapped."""

    def child() -> tuple[int, int, int]:
        enter_user_namespace(CLONE_NEWIPC)
        perm = shmctl_stat(shmget(IPC_PRIVATE, 1, 0o600)).perm
        return os.getuid(), perm.cuid, perm.cgid

    nobody, nogroup = limit("kernel/overflowuid"), limit("kernel/overflowgid")
    if nobody is None:
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/overflowuid")
    assert unprivileged(child) == (nobody, nobody, nogroup)


@clause("userns.ids-are-mapped", "user_namespaces(7)", "User and group ID mappings: uid_map and gid_map", since="3.8")
def test_owner_ids_are_mapped(unprivileged):
    """shmctl() with IPC_STAT returns the owner of one segment as mapped in the caller's user namespace."""

    def child() -> tuple[int, int]:
        outside = shmget(IPC_PRIVATE, 1, 0o644)
        try:
            before = shmctl_stat(outside).perm.cuid - os.getuid()
            map_user(7, 8, *enter_user_namespace())
            return before, shmctl_stat(outside).perm.cuid
        finally:
            shmctl_rmid(outside)

    assert unprivileged(child) == (0, 7)


@clause("userns.sysvipc-ids-are-mapped", "user_namespaces(7)", "User and group ID mappings: uid_map and gid_map")
def test_proc_shows_mapped_ids(unprivileged):
    """/proc/sysvipc/shm shows owners as mapped in the reader's user namespace."""

    def child() -> list[tuple[int, int]] | None:
        map_user(7, 8, *enter_user_namespace(CLONE_NEWIPC))
        shmget(IPC_PRIVATE, 1, 0o600)
        rows = sysvipc_shm()
        return None if rows is None else [(row.uid, row.cgid) for row in rows]

    found = unprivileged(child)
    if found is None:
        untested(Need.PROC_FILES, "needs /proc/sysvipc")
    assert found == [(7, 8)]


@clause(
    "userns.map-is-written-once",
    "user_namespaces(7)",
    "Defining user and group ID mappings: writing to uid_map and gid_map",
    errno=EPERM,
    since="3.8",
)
def test_uid_map_can_be_written_once(unprivileged):
    """write() to the uid_map of a user namespace succeeds once; a second write fails with EPERM and keeps the map."""

    def child() -> list[str]:
        uid, gid = enter_user_namespace()
        map_user(7, 8, uid, gid)
        with fails_with(EPERM):
            _write("/proc/self/uid_map", f"9 {uid} 1")
        return Path("/proc/self/uid_map").read_text().split()[:1]

    assert unprivileged(child) == ["7"]


@clause(
    "userns.gid-map-needs-setgroups-denied",
    "user_namespaces(7)",
    "Defining user and group ID mappings: writing to uid_map and gid_map",
    errno=EPERM,
    since="3.19",
)
def test_gid_map_needs_setgroups_denied(unprivileged):
    """write() to gid_map without privilege fails with EPERM until "deny" has been written to setgroups."""

    def child() -> bool:
        _, gid = enter_user_namespace()
        with fails_with(EPERM):
            _write("/proc/self/gid_map", f"8 {gid} 1")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", f"8 {gid} 1")
        return os.getgid() == 8

    assert unprivileged(child)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
