"""semget(2): finding and making semaphore sets, and how a new one begins."""

from __future__ import annotations

import os
import time
from errno import EACCES, EEXIST, EINVAL, ENOENT

from pytest_ipc import clause, fails_with, untested, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, semctl_limits, semctl_rmid, semctl_stat, semget

from ..conftest import TO_START, succeeded
from ..credentials import GROUP, MEMBER, OTHER_GROUP, STRANGER, act_as_another


@clause("semget.create", "semget(2)", "DESCRIPTION")
def test_a_new_set_has_what_was_asked_for(sysv_sem):
    """IPC_CREAT with a key that no set has makes one, with as many semaphores and the mode asked for, found by that key."""
    key = unused_key()
    semaphores = sysv_sem(5, key=key, flags=IPC_CREAT, mode=0o640)
    ds = semaphores.stat()
    assert (ds.nsems, oct(ds.perm.mode), ds.perm.key) == (5, oct(0o640), key)
    assert semget(key, 0, 0) == semaphores.id >= 0


@clause("semget.private-new", "semget(2)", "DESCRIPTION")
def test_private_is_new_every_time(on_record):
    """With the key IPC_PRIVATE every call makes a new set, with IPC_CREAT or without."""
    made = {on_record.semget(IPC_PRIVATE, 1, flags | 0o600) for flags in (0, 0, IPC_CREAT, IPC_EXCL)}
    assert len(made) == 4


@clause("semget.id-not-negative", "semget(2)", "RETURN VALUE")
def test_an_identifier_is_not_negative(on_record):
    """The identifier that semget gives is not negative, with a key and without, for a new set and for one that exists."""
    key = unused_key()
    made = [on_record.semget(IPC_PRIVATE, 1, 0o600), on_record.semget(key, 1, IPC_CREAT | 0o600), semget(key, 0, 0)]
    assert min(made) >= 0


@clause("semget.lookup", "semget(2)", "DESCRIPTION")
def test_a_key_leads_to_its_set(sysv_sem):
    """The key of an existing set gives that set's identifier, without flags and with IPC_CREAT alone."""
    semaphores = sysv_sem(2)
    assert semget(semaphores.key, 2, 0) == semaphores.id
    assert semget(semaphores.key, 2, IPC_CREAT | 0o600) == semaphores.id


@clause("semget.nsems-zero-lookup", "semget(2)", "ERRORS", errno=EINVAL)
def test_a_number_of_zero_finds_and_does_not_make(sysv_sem):
    """An existing set may be looked up with 0 semaphores; a set of 0 cannot be made."""
    semaphores = sysv_sem(3)
    assert semget(semaphores.key, 0, 0) == semaphores.id
    key = unused_key()
    with fails_with(EINVAL):
        semget(key, 0, IPC_CREAT | 0o600)
    with fails_with(ENOENT):
        semget(key, 0, 0)


@clause("semget.eexist", "semget(2)", "ERRORS", errno=EEXIST)
def test_excl_fails_when_the_key_has_a_set(sysv_sem):
    """IPC_CREAT with IPC_EXCL fails when a set with the key exists."""
    semaphores = sysv_sem()
    with fails_with(EEXIST):
        semget(semaphores.key, 1, IPC_CREAT | IPC_EXCL | 0o600)
    assert semaphores.exists()


@clause("semget.enoent", "semget(2)", "ERRORS", errno=ENOENT)
def test_a_key_without_set_is_not_found():
    """A key that no set has fails without IPC_CREAT, and makes nothing."""
    key = unused_key()
    for _ in range(2):
        with fails_with(ENOENT):
            semget(key, 1, 0o600)


@clause("semget.eacces", "semget(2)", "ERRORS", errno=EACCES)
def test_looking_up_asks_for_permissions(owned, as_user):
    """Looking a set up with mode bits that the caller has not got is refused; with those that he has, it is found."""
    semaphores = owned(0o640)

    def look_up() -> int:
        with fails_with(EACCES):
            semget(semaphores.key, 0, 0o060)
        return semget(semaphores.key, 0, 0o040)

    assert as_user(MEMBER, GROUP, look_up) == semaphores.id


@clause("semget.einval-semmsl", "semget(2)", "ERRORS", errno=EINVAL)
def test_a_set_has_at_most_semmsl_semaphores(on_record):
    """A set may have SEMMSL semaphores and not one more, nor less than none."""
    most = semctl_limits().semmsl
    if most > 100_000:
        untested(f"needs a lower limit than {most} semaphores in a set")
    key = unused_key()
    for nsems in (most + 1, -1):
        with fails_with(EINVAL):
            semget(key, nsems, IPC_CREAT | 0o600)
    assert semctl_stat(on_record.semget(key, most, IPC_CREAT | 0o600)).nsems == most


@clause("semget.einval-larger-nsems", "semget(2)", "ERRORS", errno=EINVAL)
def test_more_semaphores_than_there_are_is_refused(sysv_sem):
    """Looking an existing set up with more semaphores than it has fails; with as many or fewer it is found as it is."""
    semaphores = sysv_sem(3)
    with fails_with(EINVAL):
        semget(semaphores.key, 4, 0)
    assert semget(semaphores.key, 3, 0) == semget(semaphores.key, 2, 0) == semaphores.id
    assert semaphores.stat().nsems == 3


@clause("semget.initial-values-zero-linux", "semget(2)", "NOTES")
def test_the_values_begin_with_zero(sysv_sem):
    """Portable programs may not rely on it, but on Linux every semaphore of a new set has the value 0."""
    assert sysv_sem(100).values == [0] * 100


@clause("semget.init-ids-mode", "semget(2)", "DESCRIPTION")
def test_the_maker_becomes_owner_and_creator(fork, on_record):
    """Owner and creator are the effective ids of the maker, the mode is the flags' low nine bits, whatever the umask."""

    def make() -> tuple[int, int, int, int, str]:
        os.umask(0o777)
        perm = semctl_stat(on_record.semget(unused_key(), 1, IPC_CREAT | IPC_EXCL | 0o753)).perm
        return perm.uid, perm.cuid, perm.gid, perm.cgid, oct(perm.mode)

    assert fork(make).result() == (os.geteuid(), os.geteuid(), os.getegid(), os.getegid(), oct(0o753))


@clause("semget.init-euid-not-ruid", "semget(2)", "DESCRIPTION")
def test_the_effective_ids_count(fork, on_record):
    """Where real and effective ids of the maker differ, the effective ones become owner and creator."""

    def make() -> tuple[int, int, int, int]:
        act_as_another()
        perm = semctl_stat(on_record.semget(IPC_PRIVATE, 1, 0o600)).perm
        return perm.cuid, perm.uid, perm.cgid, perm.gid

    assert fork(make).result() == (STRANGER, STRANGER, OTHER_GROUP, OTHER_GROUP)


@clause("semget.init-otime-zero", "semget(2)", "DESCRIPTION")
def test_no_operation_has_been_done_yet(sysv_sem):
    """The time of the last operation of a new set is 0, and nobody is on record as its last user."""
    semaphores = sysv_sem(2)
    assert (semaphores.stat().otime, semaphores.last_pid(0), semaphores.last_pid(1)) == (0, 0, 0)


@clause("semget.init-ctime", "semget(2)", "DESCRIPTION")
def test_the_time_of_change_starts_as_now(sysv_sem):
    """The time of change of a new set is the time of its making."""
    before = int(time.time()) - 1  # the kernel's coarse clock may lag behind by a tick
    ctime = sysv_sem().stat().ctime
    assert before <= ctime <= time.time()


@clause("sem.outlives-its-maker", "sysvipc(7)", "DESCRIPTION")
def test_a_set_outlives_its_maker(fork, reserved_key):
    """A set and its values stay when the process that made it has ended, until it is removed."""
    key = reserved_key("sysv-sem", nsems=2, mode=0o600)

    def make() -> int:
        return semget(key, 2, IPC_CREAT | IPC_EXCL | 0o600)

    semid = fork(make).result()
    assert (semctl_stat(semid).nsems, semget(key, 0, 0)) == (2, semid)
    semctl_rmid(semid)
    with fails_with(EINVAL):
        semctl_stat(semid)


@clause("sem.unrelated-processes-meet-by-key", "semget(2)", "DESCRIPTION")
def test_unrelated_processes_meet_by_key(sysv_sem, program):
    """Programs that have nothing in common but the key operate on the same semaphores."""
    semaphores = sysv_sem(2, values=[3, 0])
    source = (
        "import sys, pytest_ipc.kernel as ipc\n"
        "semid = ipc.semget(int(sys.argv[1]), 2, 0)\n"
        "ipc.semop(semid, [(0, -3), (1, 2)])\n"
        "ipc.semop(semid, [(1, -3)])\n"
    )
    other = program(source, semaphores.key)
    other.wait_blocked("semop", TO_START)
    assert semaphores.values == [0, 2]
    semaphores.release(1)
    succeeded(other)
    assert semaphores.values == [0, 0]
