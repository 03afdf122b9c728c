"""user_namespaces(7): who is who in a user namespace, and what its capabilities are worth for IPC."""

from __future__ import annotations

import os
from errno import EACCES, EPERM
from pathlib import Path

from pytest_ipc import clause, fails_with, untested
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
    """Move this process, a child, to a user namespace without a map, and to what *also* says: who it was outside."""
    outside = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWUSER)
    except OSError as error:
        untested(f"needs user namespaces for ordinary users: {error.strerror}")
    prctl(PR_SET_DUMPABLE, 1)  # after a change of user without an exec its files in /proc would be root's
    if also:
        unshare(also)
    return outside


@clause("userns.maker-has-all-capabilities", "user_namespaces(7)", "Capabilities", since="3.8")
def test_the_maker_has_every_capability_there(unprivileged):
    """A process that makes a user namespace has every capability in it, and had none before."""

    def life() -> tuple[int, int]:
        before = capget().effective
        enter_user_namespace()
        return before, capget().effective

    before, after = unprivileged(life)
    last = limit("kernel/cap_last_cap")
    if last is None:
        untested("needs /proc/sys/kernel/cap_last_cap")
    assert (before, after) == (0, (1 << (last + 1)) - 1)


@clause(
    "userns.power-over-own-ipc", "user_namespaces(7)", "Interaction of user namespaces and other types of namespaces"
)
def test_capabilities_count_in_an_ipc_namespace_of_it(unprivileged):
    """CAP_IPC_OWNER in a user namespace opens segments without any permission in an IPC namespace that it owns."""

    def life() -> None:
        enter_user_namespace(CLONE_NEWIPC)
        shmdt(shmat(shmget(IPC_PRIVATE, 1, 0)))

    unprivileged(life)


@clause(
    "userns.no-power-over-others-ipc",
    "user_namespaces(7)",
    "Interaction of user namespaces and other types of namespaces",
    errno=EACCES,
)
def test_capabilities_do_not_count_in_an_ipc_namespace_of_its_parent(unprivileged):
    """Capabilities in a user namespace are worth nothing in an IPC namespace that another user namespace owns."""

    def life() -> None:
        shmid = shmget(IPC_PRIVATE, 1, 0)
        try:
            enter_user_namespace()
            with fails_with(EACCES):
                shmat(shmid)
        finally:
            shmctl_rmid(shmid)

    unprivileged(life)


@clause("userns.ids-before-the-map-overflow", "user_namespaces(7)", "Unmapped user and group IDs")
def test_without_a_map_everybody_is_the_overflow_user(unprivileged):
    """An object's owner is shown as the overflow user and group by IPC_STAT where no map has the real ones."""

    def life() -> tuple[int, int, int]:
        enter_user_namespace(CLONE_NEWIPC)
        perm = shmctl_stat(shmget(IPC_PRIVATE, 1, 0o600)).perm
        return os.getuid(), perm.cuid, perm.cgid

    nobody, nogroup = limit("kernel/overflowuid"), limit("kernel/overflowgid")
    if nobody is None:
        untested("needs /proc/sys/kernel/overflowuid")
    assert unprivileged(life) == (nobody, nobody, nogroup)


@clause("userns.ids-are-mapped", "user_namespaces(7)", "User and group ID mappings: uid_map and gid_map", since="3.8")
def test_owners_are_shown_as_they_are_mapped(unprivileged):
    """The same object's owner and creator are the mapped ids to a process inside, and the real ones to one outside."""

    def life() -> tuple[int, int]:
        outside = shmget(IPC_PRIVATE, 1, 0o644)
        try:
            before = shmctl_stat(outside).perm.cuid - os.getuid()
            map_user(7, 8, *enter_user_namespace())
            return before, shmctl_stat(outside).perm.cuid
        finally:
            shmctl_rmid(outside)

    assert unprivileged(life) == (0, 7)


@clause("userns.sysvipc-ids-are-mapped", "user_namespaces(7)", "User and group ID mappings: uid_map and gid_map")
def test_the_list_of_segments_is_mapped_too(unprivileged):
    """/proc/sysvipc/shm shows owners as they are mapped for who reads it."""

    def life() -> list[tuple[int, int]] | None:
        map_user(7, 8, *enter_user_namespace(CLONE_NEWIPC))
        shmget(IPC_PRIVATE, 1, 0o600)
        rows = sysvipc_shm()
        return None if rows is None else [(row.uid, row.cgid) for row in rows]

    found = unprivileged(life)
    if found is None:
        untested("needs /proc/sysvipc")
    assert found == [(7, 8)]


@clause(
    "userns.map-is-written-once",
    "user_namespaces(7)",
    "Defining user and group ID mappings: writing to uid_map and gid_map",
    errno=EPERM,
    since="3.8",
)
def test_a_map_can_be_written_once(unprivileged):
    """The map of users of a user namespace can be written once; a second time fails and the map stays."""

    def life() -> list[str]:
        uid, gid = enter_user_namespace()
        map_user(7, 8, uid, gid)
        with fails_with(EPERM):
            _write("/proc/self/uid_map", f"9 {uid} 1")
        return Path("/proc/self/uid_map").read_text().split()[:1]

    assert unprivileged(life) == ["7"]


@clause(
    "userns.gid-map-needs-setgroups-denied",
    "user_namespaces(7)",
    "Defining user and group ID mappings: writing to uid_map and gid_map",
    errno=EPERM,
    since="3.19",
)
def test_groups_are_mapped_only_after_setgroups_is_given_up(unprivileged):
    """An unprivileged process may write its map of groups only when setgroups has been denied in the user namespace."""

    def life() -> bool:
        _, gid = enter_user_namespace()
        with fails_with(EPERM):
            _write("/proc/self/gid_map", f"8 {gid} 1")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", f"8 {gid} 1")
        return os.getgid() == 8

    assert unprivileged(life)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
