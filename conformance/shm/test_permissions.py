"""shmget(2), shmop(2), shmctl(2): permission checks, by mode bits and by ownership.

Every process here, the owner's too, is unprivileged and has no capability: root would pass every check.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, ENOENT, ENOMEM, EPERM

import pytest

from pytest_ipc import Deviation, Need, Segment, clause, disputed, fails_with, untested, unused_key
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_RMID,
    SHM_EXEC,
    SHM_HUGETLB,
    SHM_LOCK,
    SHM_LOCKED,
    SHM_RDONLY,
    SHM_STAT,
    SHM_STAT_ANY,
    SHM_UNLOCK,
    errno_name,
    limit,
    shmat,
    shmctl,
    shmctl_info,
    shmctl_rmid,
    shmctl_set,
    shmctl_stat,
    shmdt,
    shmget,
)

from ..credentials import GROUP, MEMBER, OTHER_GROUP, OWNER, STRANGER, become, limit_process

CLASSES = {"owner": (OWNER, OTHER_GROUP, 6), "group": (MEMBER, GROUP, 3), "other": (STRANGER, OTHER_GROUP, 0)}


@pytest.fixture
def owned(sysv_shm):
    """Return a function that creates a segment and gives it to OWNER and GROUP with the given mode."""

    def make(mode, size=4096):
        segment = sysv_shm(size)
        try:
            segment.set_status(uid=OWNER, gid=GROUP, mode=mode)
        except OSError as error:
            untested(Need.OTHER_USERS, f"cannot give a segment to another user: {error.strerror}")
        return segment

    return make


def outcome(shmid: int, flags: int) -> str:
    """Return "attached" if shmat() with *flags* succeeds, else the name of the errno."""
    try:
        shmdt(shmat(shmid, None, flags))
    except OSError as error:
        return errno_name(error.errno)
    return "attached"


def attaching(as_user: Callable[..., tuple[str, str]], segment: Segment, user: str) -> tuple[str, str]:
    """Return the outcomes of attaching read-only and read-write as owner, group member or other."""
    uid, gid, _ = CLASSES[user]
    return as_user(uid, gid, lambda: (outcome(segment.id, SHM_RDONLY), outcome(segment.id, 0)))


@clause("shmat.mode-owner-read", "shmop(2)", "ERRORS", errno=EACCES)
def test_owner_read_bit(owned, as_user):
    """shmat() with SHM_RDONLY by the owner needs the owner's read bit and no other bit; without it shmat() fails with
    EACCES.
    """
    assert attaching(as_user, owned(0o400), "owner") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o377), "owner") == ("EACCES", "EACCES")


@clause("shmat.mode-owner-write", "shmop(2)", "ERRORS", errno=EACCES)
def test_owner_write_bit(owned, as_user):
    """shmat() for reading and writing by the owner needs the owner's write bit; without it shmat() fails with
    EACCES."""
    assert attaching(as_user, owned(0o600), "owner") == ("attached", "attached")
    assert attaching(as_user, owned(0o577), "owner") == ("attached", "EACCES")


@clause("shmat.mode-group-read", "shmop(2)", "ERRORS", errno=EACCES)
def test_group_read_bit(owned, as_user):
    """shmat() with SHM_RDONLY by a group member needs the group's read bit and no other bit; without it shmat() fails
    with EACCES.
    """
    assert attaching(as_user, owned(0o040), "group") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o737), "group") == ("EACCES", "EACCES")


@clause("shmat.mode-group-write", "shmop(2)", "ERRORS", errno=EACCES)
def test_group_write_bit(owned, as_user):
    """shmat() for reading and writing by a group member needs the group's write bit; without it shmat() fails with
    EACCES.
    """
    assert attaching(as_user, owned(0o060), "group") == ("attached", "attached")
    assert attaching(as_user, owned(0o757), "group") == ("attached", "EACCES")


@clause("shmat.mode-other-read", "shmop(2)", "ERRORS", errno=EACCES)
def test_other_read_bit(owned, as_user):
    """shmat() with SHM_RDONLY by another user needs the others' read bit and no other bit; without it shmat() fails
    with EACCES.
    """
    assert attaching(as_user, owned(0o004), "other") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o773), "other") == ("EACCES", "EACCES")


@clause("shmat.mode-other-write", "shmop(2)", "ERRORS", errno=EACCES)
def test_other_write_bit(owned, as_user):
    """shmat() for reading and writing by another user needs the others' write bit; without it shmat() fails with
    EACCES.
    """
    assert attaching(as_user, owned(0o006), "other") == ("attached", "attached")
    assert attaching(as_user, owned(0o775), "other") == ("attached", "EACCES")


@clause("ipc.execute-bits-ignored", "shmctl(2)", "DESCRIPTION")
def test_execute_bits_grant_nothing(owned, as_user):
    """The execute bits of a segment's mode do not permit shmat()."""
    segment = owned(0o111)
    assert {attaching(as_user, segment, user) for user in CLASSES} == {("EACCES", "EACCES")}


@clause("shmat.eacces", "shmop(2)", "ERRORS", errno=EACCES)
def test_shmat_without_permission_fails(owned, as_user):
    """shmat() fails with EACCES if the caller lacks the permission for the requested attach, and attaches nothing."""
    segment = owned(0o700)

    def attach() -> None:
        with fails_with(EACCES):
            shmat(segment.id)

    as_user(STRANGER, OTHER_GROUP, attach)
    assert segment.stat().nattch == 0


@clause("shmat.rdonly-needs-read-only", "shmop(2)", "SHM_RDONLY")
def test_shm_rdonly_needs_only_read_permission(owned, as_user):
    """shmat() with SHM_RDONLY needs only read permission; without the flag it needs both read and write permission."""
    assert attaching(as_user, owned(0o400), "owner") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o200), "owner") == ("EACCES", "EACCES")


@clause(
    "shmat.exec-permission-contradiction",
    "shmop(2)",
    "SHM_EXEC",
    disputed="by shmop(2) SHM_EXEC needs execute permission, by shmctl(2) execute bits are unused",
)
def test_shm_exec_needs_execute_permission(owned, as_user):
    """shmat() with SHM_EXEC needs execute permission by shmop(2), although execute permission bits are unused by
    shmctl(2).
    """
    with_bit, without = owned(0o700), owned(0o600)

    def both() -> tuple[str, str]:
        return outcome(with_bit.id, SHM_EXEC), outcome(without.id, SHM_EXEC)

    found = as_user(OWNER, GROUP, both)
    assert found in (("attached", "EACCES"), ("attached", "attached"))
    if found == ("attached", "EACCES"):
        disputed(manual="shmctl(2): execute bits are unused", linux="requires the execute bit, as shmop(2) says")


@clause("shmget.eacces-mode", "shmget(2)", "ERRORS", errno=EACCES)
def test_shmget_checks_requested_mode_bits(owned, as_user):
    """shmget() of an existing segment fails with EACCES if the mode argument asks for permissions that the caller
    lacks.
    """
    segment = owned(0o640)

    def look_up() -> int:
        with fails_with(EACCES):
            shmget(segment.key, 0, 0o060)
        return shmget(segment.key, 0, 0o040)

    assert as_user(MEMBER, GROUP, look_up) == segment.id


@clause("shmctl.stat-needs-read", "shmctl(2)", "ERRORS", errno=EACCES)
def test_ipc_stat_needs_read_permission(owned, as_user):
    """IPC_STAT needs read permission, and fails with EACCES without it."""
    unreadable, readable = owned(0o733), owned(0o004)

    def ask() -> int:
        with fails_with(EACCES):
            shmctl_stat(unreadable.id)
        return shmctl_stat(readable.id).segsz

    assert as_user(STRANGER, OTHER_GROUP, ask) == readable.size


@clause("shmctl.eperm-set-rmid", "shmctl(2)", "ERRORS", errno=EPERM)
def test_ipc_set_and_ipc_rmid_by_stranger_fail(owned, as_user):
    """IPC_SET and IPC_RMID fail with EPERM for a user who is neither owner nor creator, whatever the mode, and change
    nothing.
    """
    segment = owned(0o777)

    def change() -> None:
        with fails_with(EPERM):
            shmctl_set(segment.id, mode=0o600)
        with fails_with(EPERM):
            shmctl(segment.id, IPC_RMID)

    as_user(STRANGER, GROUP, change)
    ds = segment.stat()
    assert (ds.perm.mode, ds.perm.uid) == (0o777, OWNER)


@clause("shmctl.set-uid-gid", "shmctl(2)", "IPC_SET")
def test_ipc_set_changes_owner(owned, as_user):
    """IPC_SET changes the owner and group of a segment, which later checks use; the creator stays the same."""
    segment = owned(0o400)
    made_by = segment.stat().perm
    assert attaching(as_user, segment, "owner")[0] == "attached"
    segment.set_status(uid=STRANGER, gid=OTHER_GROUP)
    perm = segment.stat().perm
    assert (perm.uid, perm.gid, perm.cuid, perm.cgid) == (STRANGER, OTHER_GROUP, made_by.cuid, made_by.cgid)
    assert attaching(as_user, segment, "owner")[0] == "EACCES"
    assert as_user(STRANGER, OTHER_GROUP, outcome, segment.id, SHM_RDONLY) == "attached"


@clause("shmctl.creator-keeps-control", "shmctl(2)", "ERRORS")
def test_creator_keeps_control(fork, on_record):
    """The creator of a segment may use IPC_SET and IPC_RMID after another user has become its owner."""

    def give_away_and_take_back() -> int | None:
        become(OWNER, GROUP)
        shmid = on_record.shmget(unused_key(), 1, IPC_CREAT | 0o600)
        shmctl_set(shmid, uid=STRANGER, gid=OTHER_GROUP, mode=0o666)
        shmctl_set(shmid, mode=0o600)
        shmctl_rmid(shmid)
        with pytest.raises(OSError) as gone:
            shmctl_rmid(shmid)
        return gone.value.errno

    assert errno_name(fork(give_away_and_take_back).result()) == "EINVAL"


@clause("shmctl.shm_stat_any-no-perm", "shmctl(2)", "SHM_STAT_ANY", since="4.17")
def test_shm_stat_any_needs_no_permission(in_ipc_namespace):
    """SHM_STAT_ANY needs no read permission; SHM_STAT fails with EACCES without it."""

    def ask() -> int:
        shmget(unused_key(), 4321, IPC_CREAT)
        highest = shmctl_info().highest
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            shmctl_stat(highest, SHM_STAT)
        return shmctl_stat(highest, SHM_STAT_ANY).segsz

    assert in_ipc_namespace({}, ask) == 4321


@clause("shmctl.lock-owner-only-eperm", "shmctl(2)", "ERRORS", errno=EPERM)
def test_shm_lock_by_stranger_fails(owned, as_user):
    """SHM_LOCK and SHM_UNLOCK fail with EPERM for a user who is neither owner nor creator."""
    segment = owned(0o777)

    def lock() -> None:
        for command in (SHM_LOCK, SHM_UNLOCK):
            with fails_with(EPERM):
                shmctl(segment.id, command)

    as_user(STRANGER, GROUP, lock)
    assert segment.stat().perm.mode == 0o777


@clause("shmctl.lock-memlock-enomem", "shmctl(2)", "ERRORS", errno=ENOMEM, since="2.6.10")
def test_shm_lock_is_limited_by_rlimit_memlock(owned, as_user, page):
    """SHM_LOCK by an unprivileged owner fails with ENOMEM if the segment is larger than RLIMIT_MEMLOCK, and succeeds up
    to the limit.
    """
    fits, exceeds = owned(0o600, 2 * page), owned(0o600, 3 * page)

    def lock() -> tuple[int, int]:
        limit_process("MEMLOCK", 2 * page, 2 * page)
        with fails_with(ENOMEM):
            shmctl(exceeds.id, SHM_LOCK)
        shmctl(fits.id, SHM_LOCK)
        return shmctl_stat(fits.id).perm.mode, shmctl_stat(exceeds.id).perm.mode

    assert as_user(OWNER, GROUP, lock) == (0o600 | SHM_LOCKED, 0o600)


@clause("shmctl.lock-memlock-zero-eperm", "shmctl(2)", "ERRORS", errno=EPERM, since="2.6.10")
def test_shm_lock_with_zero_rlimit_memlock_fails(owned, as_user):
    """SHM_LOCK by an unprivileged owner fails with EPERM if RLIMIT_MEMLOCK is 0."""
    segment = owned(0o600)

    def lock() -> None:
        limit_process("MEMLOCK", 0, 0)
        with fails_with(EPERM):
            shmctl(segment.id, SHM_LOCK)

    as_user(OWNER, GROUP, lock)
    assert segment.stat().perm.mode == 0o600


@clause("shmctl.lock-outlives-locker", "shmctl(2)", "SHM_LOCK")
def test_lock_outlives_locker(owned, as_user):
    """A locked segment stays locked after the process that locked it has ended."""
    segment = owned(0o600)
    as_user(OWNER, GROUP, shmctl, segment.id, SHM_LOCK)
    assert segment.stat().perm.mode == 0o600 | SHM_LOCKED


@clause("shmget.hugetlb-enomem", "shmget(2)", "ERRORS", errno=ENOMEM)
def test_too_many_huge_pages_fail(on_record):
    """shmget() with SHM_HUGETLB fails with ENOMEM if it needs more huge pages than the system has, and creates no
    segment.
    """
    needs_huge_pages()
    if limit("vm/nr_hugepages") != 0 or limit("vm/nr_overcommit_hugepages") != 0:
        untested(Need.HUGE_PAGES, "needs a kernel with huge pages, none of which is set aside")
    key = unused_key()
    try:
        with fails_with(ENOMEM):
            on_record.shmget(key, 1, IPC_CREAT | 0o600 | SHM_HUGETLB)
    except Deviation as deviation:
        if "EPERM" in deviation.observed:
            untested(Need.CAP_IPC_LOCK, "needs CAP_IPC_LOCK")
        raise
    with fails_with(ENOENT):
        shmget(key, 0, 0)


@clause("shmget.hugetlb-eperm", "shmget(2)", "ERRORS", errno=EPERM)
def test_huge_pages_need_privilege(as_user, on_record):
    """shmget() with SHM_HUGETLB fails with EPERM for an unprivileged user outside the group of
    /proc/sys/vm/hugetlb_shm_group.
    """
    needs_huge_pages()

    def make() -> None:
        with fails_with(EPERM):
            on_record.shmget(unused_key(), 1, IPC_CREAT | 0o600 | SHM_HUGETLB)

    as_user(STRANGER, OTHER_GROUP, make)


def needs_huge_pages() -> None:
    """Report untested on a kernel without huge pages, for which the manual page does not describe SHM_HUGETLB."""
    if limit("vm/nr_hugepages") is None:
        untested(Need.HUGE_PAGES, "needs a kernel with huge pages: /proc/sys/vm/nr_hugepages cannot be read")
