"""semop(2), semctl(2): permission checks, by mode bits and by ownership.

Every process here, the owner's too, is unprivileged and has no capability: root would pass every check.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, c_ushort
from errno import EACCES, EPERM

import pytest

from pytest_ipc import SemaphoreSet, clause, fails_with, unused_key
from pytest_ipc.kernel import (
    GETALL,
    GETNCNT,
    GETPID,
    GETVAL,
    GETZCNT,
    IPC_CREAT,
    IPC_NOWAIT,
    IPC_RMID,
    SEM_STAT,
    SEM_STAT_ANY,
    SETALL,
    SETVAL,
    errno_name,
    semctl,
    semctl_info,
    semctl_rmid,
    semctl_set,
    semctl_stat,
    semget,
    semop,
)

from ..credentials import GROUP, MEMBER, OTHER_GROUP, OWNER, STRANGER, become

CLASSES = {"owner": (OWNER, OTHER_GROUP, 6), "group": (MEMBER, GROUP, 3), "other": (STRANGER, OTHER_GROUP, 0)}


def outcome(semid: int, op: int) -> str:
    """Return "done" if the operation succeeds, else the name of the errno."""
    try:
        semop(semid, [(0, op, IPC_NOWAIT)])
    except OSError as error:
        return errno_name(error.errno)
    return "done"


def operating(as_user: Callable[..., tuple[str, str]], semaphores: SemaphoreSet, user: str) -> tuple[str, str]:
    """Return the outcomes of waiting for zero and of adding, as owner, group member or other; the value is 0."""
    uid, gid, _ = CLASSES[user]
    return as_user(uid, gid, lambda: (outcome(semaphores.id, 0), outcome(semaphores.id, 1)))


@clause("semop.mode-bits", "semop(2)", "ERRORS", errno=EACCES)
@pytest.mark.parametrize("user", CLASSES)
def test_class_bits_permit_reading_and_altering(owned, as_user, user):
    """The read bit of the caller's class permits semop() to wait for zero, the write bit to alter; bits of other
    classes do not count.
    """
    shift = CLASSES[user][2]
    only = {bits: operating(as_user, owned(bits << shift), user) for bits in (0, 2, 4, 6)}
    assert only == {0: ("EACCES", "EACCES"), 2: ("EACCES", "done"), 4: ("done", "EACCES"), 6: ("done", "done")}
    assert operating(as_user, owned(0o777 & ~(7 << shift)), user) == ("EACCES", "EACCES")


@clause("semop.read-perm-for-zero", "semop(2)", "DESCRIPTION")
def test_zero_operation_needs_read_permission(owned, as_user):
    """semop() with sem_op 0 needs read permission only; with any other sem_op it needs alter permission only."""
    readable, writable = owned(0o400), owned(0o200)

    def operate() -> list[str]:
        return [outcome(semid, op) for semid in (readable.id, writable.id) for op in (0, 1, -1)]

    assert as_user(OWNER, OTHER_GROUP, operate) == ["done", "EACCES", "EACCES", "EACCES", "done", "done"]
    writable.set_status(uid=OWNER, gid=GROUP, mode=0o600)  # the creator may; reading needs the bit now
    assert (readable.values, writable.values) == ([0], [0])


@clause("semop.eacces", "semop(2)", "ERRORS", errno=EACCES)
def test_semop_without_permission_fails(owned, as_user):
    """semop() fails with EACCES if the caller lacks the permission for one operation, and performs none of the
    array.
    """
    semaphores = owned(0o644, 2)

    def operate() -> None:
        for array in ([(0, 1)], [(0, 0), (1, 1)], [(1, -1)]):
            with fails_with(EACCES):
                semop(semaphores.id, array)

    as_user(STRANGER, OTHER_GROUP, operate)
    assert (semaphores.values, semaphores.stat().otime) == ([0, 0], 0)


@clause("semctl.execute-bits-ignored", "semctl(2)", "DESCRIPTION")
def test_execute_bits_grant_nothing(owned, as_user):
    """The execute bits of a set's mode permit no operation."""
    semaphores = owned(0o111)
    assert {operating(as_user, semaphores, user) for user in CLASSES} == {("EACCES", "EACCES")}


@clause("semctl.eacces", "semctl(2)", "ERRORS", errno=EACCES)
def test_ipc_stat_needs_read_permission(owned, as_user):
    """IPC_STAT needs read permission, and fails with EACCES without it."""
    unreadable, readable = owned(0o733), owned(0o004, 7)

    def ask() -> int:
        with fails_with(EACCES):
            semctl_stat(unreadable.id)
        return semctl_stat(readable.id).nsems

    assert as_user(STRANGER, OTHER_GROUP, ask) == 7


@clause("semctl.eacces-get-set-matrix", "semctl(2)", "ERRORS", errno=EACCES)
def test_commands_need_read_or_alter_permission(owned, as_user):
    """GETVAL, GETPID, GETNCNT, GETZCNT and GETALL need read permission only, SETVAL and SETALL need alter permission
    only.
    """
    readable, writable = owned(0o400), owned(0o200)

    def commands(semid: int) -> dict[str, str]:
        array = (c_ushort * 1)(0)
        gets = {"GETVAL": GETVAL, "GETPID": GETPID, "GETNCNT": GETNCNT, "GETZCNT": GETZCNT}
        all = {**gets, "SETVAL": SETVAL, "GETALL": GETALL, "SETALL": SETALL}
        found = {}
        for name, cmd in all.items():
            try:
                semctl(semid, 0, cmd, addressof(array) if name.endswith("ALL") else 0)
                found[name] = "done"
            except OSError as error:
                found[name] = errno_name(error.errno)
        return found

    reads, writes = (as_user(OWNER, OTHER_GROUP, commands, semaphores.id) for semaphores in (readable, writable))
    assert reads == {name: "done" if name.startswith("GET") else "EACCES" for name in reads}
    assert writes == {name: "done" if name.startswith("SET") else "EACCES" for name in writes}


@clause("semctl.eperm", "semctl(2)", "ERRORS", errno=EPERM)
def test_ipc_set_and_ipc_rmid_by_stranger_fail(owned, as_user):
    """IPC_SET and IPC_RMID fail with EPERM for a user who is neither owner nor creator, whatever the mode, and
    change nothing.
    """
    semaphores = owned(0o777)

    def change() -> None:
        with fails_with(EPERM):
            semctl_set(semaphores.id, mode=0o600)
        with fails_with(EPERM):
            semctl(semaphores.id, 0, IPC_RMID)

    as_user(STRANGER, GROUP, change)
    ds = semaphores.stat()
    assert (ds.perm.mode, ds.perm.uid) == (0o777, OWNER)


@clause("semctl.set-uid-gid-effect", "semctl(2)", "IPC_SET")
def test_ipc_set_changes_owner_and_creator_keeps_control(owned, as_user, fork, on_record):
    """IPC_SET changes the owner and group of a set, which later checks use; the creator may still use IPC_SET and
    IPC_RMID.
    """
    semaphores = owned(0o600)
    made_by = semaphores.stat().perm
    assert operating(as_user, semaphores, "owner") == ("done", "done")
    semaphores.set_value(0)
    semaphores.set_status(uid=STRANGER, gid=OTHER_GROUP)
    perm = semaphores.stat().perm
    assert (perm.uid, perm.gid, perm.cuid, perm.cgid) == (STRANGER, OTHER_GROUP, made_by.cuid, made_by.cgid)
    assert operating(as_user, semaphores, "owner") == ("EACCES", "EACCES")
    assert as_user(STRANGER, GROUP, outcome, semaphores.id, 0) == "done"

    def give_away_and_take_back() -> None:
        become(OWNER, GROUP)
        semid = on_record.semget(unused_key(), 1, IPC_CREAT | 0o600)
        semctl_set(semid, uid=STRANGER, gid=OTHER_GROUP, mode=0o666)
        semctl_set(semid, mode=0o600)
        semctl_rmid(semid)

    fork(give_away_and_take_back).result()


@clause("semctl.owner-may-remove", "semctl(2)", "IPC_RMID")
def test_owner_may_remove(owned, as_user):
    """The owner may remove a set with IPC_RMID without being its creator and without any permission bit."""
    semaphores = owned(0)
    as_user(OWNER, OTHER_GROUP, semctl_rmid, semaphores.id)
    assert not semaphores.exists()


@clause("semctl.sem_stat_any", "semctl(2)", "SEM_STAT_ANY", since="4.17")
def test_sem_stat_any_needs_no_permission(in_ipc_namespace):
    """SEM_STAT_ANY needs no read permission; SEM_STAT fails with EACCES without it."""

    def ask() -> int:
        semget(unused_key(), 7, IPC_CREAT)
        highest = semctl_info().highest
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            semctl_stat(highest, SEM_STAT)
        return semctl_stat(highest, SEM_STAT_ANY).nsems

    assert in_ipc_namespace({}, ask) == 7
