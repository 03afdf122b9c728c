"""semget(2): finding and creating semaphore sets, and the initial state of a new set."""

from __future__ import annotations

import os
import time
from errno import EACCES, EEXIST, EINVAL, ENOENT

from pytest_ipc import Need, clause, fails_with, untested, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, semctl_limits, semctl_rmid, semctl_stat, semget

from ..conftest import TO_START, succeeded
from ..credentials import GROUP, MEMBER, OTHER_GROUP, STRANGER, act_as_another


@clause("semget.create", "semget(2)", "DESCRIPTION")
def test_creat_creates_set(sysv_sem):
    """semget() with IPC_CREAT creates a set of nsems semaphores with the given mode if none exists for the key, and
    finds it later.
    """
    key = unused_key()
    semaphores = sysv_sem(5, key=key, flags=IPC_CREAT, mode=0o640)
    ds = semaphores.stat()
    assert (ds.nsems, oct(ds.perm.mode), ds.perm.key) == (5, oct(0o640), key)
    assert semget(key, 0, 0) == semaphores.id >= 0


@clause("semget.private-new", "semget(2)", "DESCRIPTION")
def test_private_always_creates(on_record):
    """semget() with IPC_PRIVATE creates a new set on every call, with or without IPC_CREAT."""
    made = {on_record.semget(IPC_PRIVATE, 1, flags | 0o600) for flags in (0, 0, IPC_CREAT, IPC_EXCL)}
    assert len(made) == 4


@clause("semget.id-not-negative", "semget(2)", "RETURN VALUE")
def test_identifier_is_nonnegative(on_record):
    """semget() returns a nonnegative identifier, with a key or IPC_PRIVATE, for a new and for an existing set."""
    key = unused_key()
    made = [on_record.semget(IPC_PRIVATE, 1, 0o600), on_record.semget(key, 1, IPC_CREAT | 0o600), semget(key, 0, 0)]
    assert min(made) >= 0


@clause("semget.lookup", "semget(2)", "DESCRIPTION")
def test_key_finds_set(sysv_sem):
    """semget() without flags or with only IPC_CREAT returns the identifier of the existing set for the key."""
    semaphores = sysv_sem(2)
    assert semget(semaphores.key, 2, 0) == semaphores.id
    assert semget(semaphores.key, 2, IPC_CREAT | 0o600) == semaphores.id


@clause("semget.nsems-zero-lookup", "semget(2)", "ERRORS", errno=EINVAL)
def test_nsems_zero_finds_but_does_not_create(sysv_sem):
    """semget() finds an existing set with nsems 0, but fails with EINVAL if it would create a set with nsems 0."""
    semaphores = sysv_sem(3)
    assert semget(semaphores.key, 0, 0) == semaphores.id
    key = unused_key()
    with fails_with(EINVAL):
        semget(key, 0, IPC_CREAT | 0o600)
    with fails_with(ENOENT):
        semget(key, 0, 0)


@clause("semget.eexist", "semget(2)", "ERRORS", errno=EEXIST)
def test_excl_fails_if_key_exists(sysv_sem):
    """semget() with IPC_CREAT | IPC_EXCL fails with EEXIST if a set exists for the key."""
    semaphores = sysv_sem()
    with fails_with(EEXIST):
        semget(semaphores.key, 1, IPC_CREAT | IPC_EXCL | 0o600)
    assert semaphores.exists()


@clause("semget.enoent", "semget(2)", "ERRORS", errno=ENOENT)
def test_missing_key_without_creat_fails():
    """semget() without IPC_CREAT fails with ENOENT if no set exists for the key, and creates none."""
    key = unused_key()
    for _ in range(2):
        with fails_with(ENOENT):
            semget(key, 1, 0o600)


@clause("semget.eacces", "semget(2)", "ERRORS", errno=EACCES)
def test_semget_checks_requested_mode_bits(owned, as_user):
    """semget() of an existing set fails with EACCES if the mode argument asks for permissions that the caller lacks."""
    semaphores = owned(0o640)

    def look_up() -> int:
        with fails_with(EACCES):
            semget(semaphores.key, 0, 0o060)
        return semget(semaphores.key, 0, 0o040)

    assert as_user(MEMBER, GROUP, look_up) == semaphores.id


@clause("semget.einval-semmsl", "semget(2)", "ERRORS", errno=EINVAL)
def test_nsems_above_semmsl_fails(on_record):
    """semget() creates a set of up to SEMMSL semaphores; it fails with EINVAL if nsems is larger or negative."""
    most = semctl_limits().semmsl
    if most > 100_000:
        untested(Need.MACHINE_LIMITS, f"needs a lower limit than {most} semaphores in a set")
    key = unused_key()
    for nsems in (most + 1, -1):
        with fails_with(EINVAL):
            semget(key, nsems, IPC_CREAT | 0o600)
    assert semctl_stat(on_record.semget(key, most, IPC_CREAT | 0o600)).nsems == most


@clause("semget.einval-larger-nsems", "semget(2)", "ERRORS", errno=EINVAL)
def test_larger_nsems_fails(sysv_sem):
    """semget() of an existing set fails with EINVAL if nsems exceeds its size, and otherwise does not change the
    set.
    """
    semaphores = sysv_sem(3)
    with fails_with(EINVAL):
        semget(semaphores.key, 4, 0)
    assert semget(semaphores.key, 3, 0) == semget(semaphores.key, 2, 0) == semaphores.id
    assert semaphores.stat().nsems == 3


@clause("semget.initial-values-zero-linux", "semget(2)", "NOTES")
def test_initial_values_are_zero(sysv_sem):
    """On Linux every semaphore of a new set has the value 0, on which portable programs may not rely."""
    assert sysv_sem(100).values == [0] * 100


@clause("semget.init-ids-mode", "semget(2)", "DESCRIPTION")
def test_effective_ids_and_mode_of_new_set(fork, on_record):
    """semget() sets the owner and creator of a new set to the caller's effective IDs and the mode to the low nine
    bits of semflg, whatever the umask.
    """

    def make() -> tuple[int, int, int, int, str]:
        os.umask(0o777)
        perm = semctl_stat(on_record.semget(unused_key(), 1, IPC_CREAT | IPC_EXCL | 0o753)).perm
        return perm.uid, perm.cuid, perm.gid, perm.cgid, oct(perm.mode)

    assert fork(make).result() == (os.geteuid(), os.geteuid(), os.getegid(), os.getegid(), oct(0o753))


@clause("semget.init-euid-not-ruid", "semget(2)", "DESCRIPTION")
def test_effective_ids_are_used(fork, on_record):
    """semget() uses the effective and not the real IDs for owner and creator of a new set."""

    def make() -> tuple[int, int, int, int]:
        act_as_another()
        perm = semctl_stat(on_record.semget(IPC_PRIVATE, 1, 0o600)).perm
        return perm.cuid, perm.uid, perm.cgid, perm.gid

    assert fork(make).result() == (STRANGER, STRANGER, OTHER_GROUP, OTHER_GROUP)


@clause("semget.init-otime-zero", "semget(2)", "DESCRIPTION")
def test_otime_and_sempid_are_zero(sysv_sem):
    """In a new set sem_otime is 0, and sempid of every semaphore is 0."""
    semaphores = sysv_sem(2)
    assert (semaphores.stat().otime, semaphores.last_pid(0), semaphores.last_pid(1)) == (0, 0, 0)


@clause("semget.init-ctime", "semget(2)", "DESCRIPTION")
def test_ctime_is_creation_time(sysv_sem):
    """In a new set sem_ctime is the current time."""
    before = int(time.time()) - 1  # the kernel's coarse clock may lag behind by a tick
    ctime = sysv_sem().stat().ctime
    assert before <= ctime <= time.time()


@clause("sem.outlives-its-maker", "sysvipc(7)", "DESCRIPTION")
def test_set_outlives_creator(fork, reserved_key):
    """A set persists after its creator has exited, until it is removed."""
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
    """Unrelated programs that open the set of the same key operate on the same semaphores."""
    semaphores = sysv_sem(2, values=[3, 0])
    source = (
        "import sys, pytest_ipc.kernel as ipc\n"
        "semid = ipc.semget(int(sys.argv[1]), 2, 0)\n"
        "ipc.semop(semid, [(0, -3), (1, 2)])\n"
        "ipc.semop(semid, [(1, -3)])\n"
    )
    other = program(source, semaphores.key)
    other.wait_blocked("semop", timeout=TO_START)
    assert semaphores.values == [0, 2]
    semaphores.release(1)
    succeeded(other)
    assert semaphores.values == [0, 0]
