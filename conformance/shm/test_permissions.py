"""shmget(2), shmop(2), shmctl(2): who may do what with a segment, by the nine mode bits and by being its owner.

Everybody here is an ordinary user without a capability, the owner too: root passes every check and would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, ENOENT, ENOMEM, EPERM

import pytest

from pytest_ipc import Deviation, Segment, clause, disputed, fails_with, untested, unused_key
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
    """A segment of OWNER and GROUP with the mode given, made by whoever runs the suite."""

    def make(mode, size=4096):
        segment = sysv_shm(size)
        try:
            segment.set(uid=OWNER, gid=GROUP, mode=mode)
        except OSError as error:
            untested(f"cannot give a segment to another user: {error.strerror}")
        return segment

    return make


def outcome(shmid: int, flags: int) -> str:
    """Whether the segment can be attached with *flags*, or the name of the errno."""
    try:
        shmdt(shmat(shmid, None, flags))
    except OSError as error:
        return errno_name(error.errno)
    return "attached"


def attaching(as_user: Callable[..., tuple[str, str]], segment: Segment, user: str) -> tuple[str, str]:
    """What comes of attaching read-only and read-write as owner, group member or other."""
    uid, gid, _ = CLASSES[user]
    return as_user(uid, gid, lambda: (outcome(segment.id, SHM_RDONLY), outcome(segment.id, 0)))


@clause("shmat.mode-owner-read", "shmop(2)", "ERRORS", errno=EACCES)
def test_the_owners_read_bit(owned, as_user):
    """The owner's read bit, and no other bit, lets the owner attach to read; without it the owner may not."""
    assert attaching(as_user, owned(0o400), "owner") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o377), "owner") == ("EACCES", "EACCES")


@clause("shmat.mode-owner-write", "shmop(2)", "ERRORS", errno=EACCES)
def test_the_owners_write_bit(owned, as_user):
    """The owner's write bit lets the owner attach to read and write; without it the owner may only read."""
    assert attaching(as_user, owned(0o600), "owner") == ("attached", "attached")
    assert attaching(as_user, owned(0o577), "owner") == ("attached", "EACCES")


@clause("shmat.mode-group-read", "shmop(2)", "ERRORS", errno=EACCES)
def test_the_groups_read_bit(owned, as_user):
    """The group's read bit, and no other bit, lets a member attach to read; without it a member may not."""
    assert attaching(as_user, owned(0o040), "group") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o737), "group") == ("EACCES", "EACCES")


@clause("shmat.mode-group-write", "shmop(2)", "ERRORS", errno=EACCES)
def test_the_groups_write_bit(owned, as_user):
    """The group's write bit lets a member attach to read and write; without it a member may only read."""
    assert attaching(as_user, owned(0o060), "group") == ("attached", "attached")
    assert attaching(as_user, owned(0o757), "group") == ("attached", "EACCES")


@clause("shmat.mode-other-read", "shmop(2)", "ERRORS", errno=EACCES)
def test_the_others_read_bit(owned, as_user):
    """The others' read bit, and no other bit, lets anybody attach to read; without it they may not."""
    assert attaching(as_user, owned(0o004), "other") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o773), "other") == ("EACCES", "EACCES")


@clause("shmat.mode-other-write", "shmop(2)", "ERRORS", errno=EACCES)
def test_the_others_write_bit(owned, as_user):
    """The others' write bit lets anybody attach to read and write; without it they may only read."""
    assert attaching(as_user, owned(0o006), "other") == ("attached", "attached")
    assert attaching(as_user, owned(0o775), "other") == ("attached", "EACCES")


@clause("ipc.execute-bits-ignored", "shmctl(2)", "DESCRIPTION")
def test_the_execute_bits_are_worth_nothing(owned, as_user):
    """The three execute bits give no right to attach."""
    segment = owned(0o111)
    assert {attaching(as_user, segment, user) for user in CLASSES} == {("EACCES", "EACCES")}


@clause("shmat.eacces", "shmop(2)", "ERRORS", errno=EACCES)
def test_attaching_without_permission(owned, as_user):
    """Attaching without the permission for that kind of attachment is refused, and nothing is attached."""
    segment = owned(0o700)

    def attach() -> None:
        with fails_with(EACCES):
            shmat(segment.id)

    as_user(STRANGER, OTHER_GROUP, attach)
    assert segment.stat().nattch == 0


@clause("shmat.rdonly-needs-read-only", "shmop(2)", "SHM_RDONLY")
def test_reading_needs_only_the_read_permission(owned, as_user):
    """SHM_RDONLY needs read permission alone; an attachment without it needs both, and write permission alone is not enough."""
    assert attaching(as_user, owned(0o400), "owner") == ("attached", "EACCES")
    assert attaching(as_user, owned(0o200), "owner") == ("EACCES", "EACCES")


@clause(
    "shmat.exec-permission-contradiction",
    "shmop(2)",
    "SHM_EXEC",
    disputed="shmop(2) has it that SHM_EXEC needs execute permission, shmctl(2) that the execute bits are unused",
)
def test_executing_needs_execute_permission(owned, as_user):
    """SHM_EXEC needs execute permission, says one page; no execute bit means anything, says the other."""
    with_bit, without = owned(0o700), owned(0o600)

    def both() -> tuple[str, str]:
        return outcome(with_bit.id, SHM_EXEC), outcome(without.id, SHM_EXEC)

    found = as_user(OWNER, GROUP, both)
    assert found in (("attached", "EACCES"), ("attached", "attached"))
    if found == ("attached", "EACCES"):
        disputed(manual="in shmctl(2) that execute bits are unused", linux="wants the execute bit, as shmop(2) has it")


@clause("shmget.eacces-mode", "shmget(2)", "ERRORS", errno=EACCES)
def test_looking_up_asks_for_permissions(owned, as_user):
    """Looking a segment up with mode bits that the caller has not got is refused; with those that he has, it is found."""
    segment = owned(0o640)

    def look_up() -> int:
        with fails_with(EACCES):
            shmget(segment.key, 0, 0o060)
        return shmget(segment.key, 0, 0o040)

    assert as_user(MEMBER, GROUP, look_up) == segment.id


@clause("shmctl.stat-needs-read", "shmctl(2)", "ERRORS", errno=EACCES)
def test_asking_needs_read_permission(owned, as_user):
    """IPC_STAT needs read permission, and no more."""
    unreadable, readable = owned(0o733), owned(0o004)

    def ask() -> int:
        with fails_with(EACCES):
            shmctl_stat(unreadable.id)
        return shmctl_stat(readable.id).segsz

    assert as_user(STRANGER, OTHER_GROUP, ask) == readable.size


@clause("shmctl.eperm-set-rmid", "shmctl(2)", "ERRORS", errno=EPERM)
def test_a_stranger_cannot_change_or_remove(owned, as_user):
    """IPC_SET and IPC_RMID by a user who neither owns nor made the segment are refused, whatever the mode; it stays as it was."""
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
def test_a_new_owner_counts_at_once(owned, as_user):
    """IPC_SET gives a segment another owner and group, who count in the next check; the creator stays on record."""
    segment = owned(0o400)
    made_by = segment.stat().perm
    assert attaching(as_user, segment, "owner")[0] == "attached"
    segment.set(uid=STRANGER, gid=OTHER_GROUP)
    perm = segment.stat().perm
    assert (perm.uid, perm.gid, perm.cuid, perm.cgid) == (STRANGER, OTHER_GROUP, made_by.cuid, made_by.cgid)
    assert attaching(as_user, segment, "owner")[0] == "EACCES"
    assert as_user(STRANGER, OTHER_GROUP, outcome, segment.id, SHM_RDONLY) == "attached"


@clause("shmctl.creator-keeps-control", "shmctl(2)", "ERRORS")
def test_the_creator_keeps_control(fork, on_record):
    """Who made a segment and gave it away may still change and remove it."""

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
def test_stat_any_needs_no_permission(in_ipc_namespace):
    """SHM_STAT_ANY tells of a segment without read permission; SHM_STAT does not."""

    def ask() -> int:
        shmget(unused_key(), 4321, IPC_CREAT)
        highest = shmctl_info().highest
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            shmctl_stat(highest, SHM_STAT)
        return shmctl_stat(highest, SHM_STAT_ANY).segsz

    assert in_ipc_namespace({}, ask) == 4321


@clause("shmctl.lock-owner-only-eperm", "shmctl(2)", "ERRORS", errno=EPERM)
def test_a_stranger_cannot_lock(owned, as_user):
    """SHM_LOCK and SHM_UNLOCK by a user who neither owns nor made the segment are refused."""
    segment = owned(0o777)

    def lock() -> None:
        for command in (SHM_LOCK, SHM_UNLOCK):
            with fails_with(EPERM):
                shmctl(segment.id, command)

    as_user(STRANGER, GROUP, lock)
    assert segment.stat().perm.mode == 0o777


@clause("shmctl.lock-memlock-enomem", "shmctl(2)", "ERRORS", errno=ENOMEM, since="2.6.10")
def test_locking_stays_under_the_limit(owned, as_user, page):
    """An ordinary owner may lock as much as RLIMIT_MEMLOCK allows, and not a page more."""
    fits, exceeds = owned(0o600, 2 * page), owned(0o600, 3 * page)

    def lock() -> tuple[int, int]:
        limit_process("MEMLOCK", 2 * page, 2 * page)
        with fails_with(ENOMEM):
            shmctl(exceeds.id, SHM_LOCK)
        shmctl(fits.id, SHM_LOCK)
        return shmctl_stat(fits.id).perm.mode, shmctl_stat(exceeds.id).perm.mode

    assert as_user(OWNER, GROUP, lock) == (0o600 | SHM_LOCKED, 0o600)


@clause("shmctl.lock-memlock-zero-eperm", "shmctl(2)", "ERRORS", errno=EPERM, since="2.6.10")
def test_locking_with_a_limit_of_nothing(owned, as_user):
    """With a RLIMIT_MEMLOCK of 0 an ordinary owner may not lock at all."""
    segment = owned(0o600)

    def lock() -> None:
        limit_process("MEMLOCK", 0, 0)
        with fails_with(EPERM):
            shmctl(segment.id, SHM_LOCK)

    as_user(OWNER, GROUP, lock)
    assert segment.stat().perm.mode == 0o600


@clause("shmctl.lock-outlives-locker", "shmctl(2)", "SHM_LOCK")
def test_a_lock_belongs_to_the_segment(owned, as_user):
    """A locked segment stays locked when the process that locked it has ended."""
    segment = owned(0o600)
    as_user(OWNER, GROUP, shmctl, segment.id, SHM_LOCK)
    assert segment.stat().perm.mode == 0o600 | SHM_LOCKED


@clause("shmget.hugetlb-enomem", "shmget(2)", "ERRORS", errno=ENOMEM)
def test_huge_pages_that_are_not_there(on_record):
    """A segment of more huge pages than there are is refused, and none is made."""
    needs_huge_pages()
    if limit("vm/nr_hugepages") != 0 or limit("vm/nr_overcommit_hugepages") != 0:
        untested("needs a kernel with huge pages, none of which is set aside")
    key = unused_key()
    try:
        with fails_with(ENOMEM):
            on_record.shmget(key, 1, IPC_CREAT | 0o600 | SHM_HUGETLB)
    except Deviation as deviation:
        if "EPERM" in deviation.observed:
            untested("needs CAP_IPC_LOCK")
        raise
    with fails_with(ENOENT):
        shmget(key, 0, 0)


@clause("shmget.hugetlb-eperm", "shmget(2)", "ERRORS", errno=EPERM)
def test_huge_pages_need_a_privilege(as_user, on_record):
    """An ordinary user outside the group of vm.hugetlb_shm_group may not make a segment of huge pages."""
    needs_huge_pages()

    def make() -> None:
        with fails_with(EPERM):
            on_record.shmget(unused_key(), 1, IPC_CREAT | 0o600 | SHM_HUGETLB)

    as_user(STRANGER, OTHER_GROUP, make)


def needs_huge_pages() -> None:
    """Untested where the kernel has none: the page says nothing of what SHM_HUGETLB is there."""
    if limit("vm/nr_hugepages") is None:
        untested("needs a kernel with huge pages: /proc/sys/vm/nr_hugepages cannot be read")
