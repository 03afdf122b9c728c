"""semctl(2): examining, changing and removing a set."""

from __future__ import annotations

import os
import signal
import threading
from ctypes import addressof, c_ushort
from errno import EFAULT, EIDRM, EINVAL, ERANGE

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    GETALL,
    GETNCNT,
    GETPID,
    GETVAL,
    GETZCNT,
    IPC_CREAT,
    IPC_EXCL,
    IPC_PRIVATE,
    IPC_RMID,
    IPC_SET,
    IPC_STAT,
    SEM_STAT,
    SETALL,
    SETVAL,
    errno_name,
    limit_fields,
    semctl,
    semctl_info,
    semctl_limits,
    semctl_rmid,
    semctl_set,
    semctl_setval,
    semctl_stat,
    semget,
    semop,
    sysvipc_sem,
)
from pytest_ipc.kernel.abi import semid_ds

from ..raw_syscalls import NOBODYS, raw

UNKNOWN = 77  # not a command


@clause("semctl.stat-fields", "semctl(2)", "IPC_STAT")
def test_ipc_stat_returns_fields(sysv_sem):
    """IPC_STAT returns the number of semaphores, the key, the owner, the creator and the mode of a set."""
    semaphores = sysv_sem(17, mode=0o624)
    ds = semaphores.stat()
    perm = ds.perm
    assert (ds.nsems, perm.key, oct(perm.mode)) == (17, semaphores.key, oct(0o624))
    assert (perm.uid, perm.cuid, perm.gid, perm.cgid) == (os.geteuid(), os.geteuid(), os.getegid(), os.getegid())


@clause("semctl.set-mode", "semctl(2)", "IPC_SET")
def test_ipc_set_changes_low_nine_mode_bits(sysv_sem):
    """IPC_SET changes only the low nine bits of the mode."""
    semaphores = sysv_sem(mode=0o600)
    semaphores.set_status(mode=0o426)
    assert oct(semaphores.stat().perm.mode) == oct(0o426)
    semaphores.set_status(mode=0o600)
    semctl_set(semaphores.id, mode=0o7777)
    assert oct(semaphores.stat().perm.mode) == oct(0o777)


@clause("semctl.set-ctime", "semctl(2)", "IPC_SET")
def test_ipc_set_updates_ctime(aged):
    """IPC_SET sets sem_ctime to the current time."""
    semaphores = aged("sysv_sem")
    made = semaphores.stat().ctime
    semaphores.set_status(mode=0o640)
    assert semaphores.stat().ctime > made


@clause("semctl.setval-ctime", "semctl(2)", "DESCRIPTION")
def test_setval_and_setall_update_ctime(aged):
    """SETVAL and SETALL set sem_ctime to the current time; semop() does not."""
    by_one, by_all, by_operation = (aged("sysv_sem") for _ in range(3))
    made = [semaphores.stat().ctime for semaphores in (by_one, by_all, by_operation)]
    by_one.set_value(1)
    by_all.values = [1]
    by_operation.release()
    assert by_one.stat().ctime > made[0]
    assert by_all.stat().ctime > made[1]
    assert by_operation.stat().ctime == made[2]


@clause("semctl.setall-getall", "semctl(2)", "SETALL")
def test_setall_and_getall(sysv_sem):
    """SETALL sets the value of every semaphore of the set, and GETALL returns the values in the same order."""
    semaphores = sysv_sem(5)
    wanted = [3, 0, 32767, 1, 2]
    semaphores.values = wanted
    assert semaphores.values == wanted
    assert [semaphores.value(num) for num in range(5)] == wanted


@clause("semctl.setval-one", "semctl(2)", "SETVAL")
def test_setval_and_getval(sysv_sem):
    """SETVAL sets the value of one semaphore, which GETVAL returns; the other values stay the same."""
    semaphores = sysv_sem(3, values=[1, 2, 3])
    semaphores.set_value(9, 1)
    assert (semaphores.value(1), semaphores.values) == (9, [1, 9, 3])


@clause("semctl.setall-sempid", "semctl(2)", "The sempid value", since="4.6")
def test_setall_sets_sempid(sysv_sem, fork):
    """SETALL sets sempid of every semaphore of the set to the caller's process ID."""
    semaphores = sysv_sem(3)
    assert [semaphores.last_pid(num) for num in range(3)] == [0, 0, 0]

    def set_all() -> None:
        semaphores.values = [1, 0, 2]
        signal.pause()

    child = fork(set_all)
    child.wait_blocked("pause")
    assert [semaphores.last_pid(num) for num in range(3)] == [child.pid] * 3


@clause("semctl.setval-sempid", "semctl(2)", "The sempid value")
def test_setval_sets_sempid(sysv_sem, fork):
    """SETVAL sets sempid of the semaphore that it sets, and of no other, to the caller's process ID."""
    semaphores = sysv_sem(2)

    def set_one() -> None:
        semaphores.set_value(1, 1)
        signal.pause()

    child = fork(set_one)
    child.wait_blocked("pause")
    assert (semaphores.last_pid(0), semaphores.last_pid(1)) == (0, child.pid)


@clause("semctl.semnum-einval", "semctl(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize(
    "cmd", [GETVAL, GETPID, GETNCNT, GETZCNT, SETVAL], ids="GETVAL GETPID GETNCNT GETZCNT SETVAL".split()
)
def test_invalid_semnum_fails(sysv_sem, cmd):
    """GETVAL, GETPID, GETNCNT, GETZCNT and SETVAL fail with EINVAL for a negative semnum and for one equal to the
    set's size.
    """
    semaphores = sysv_sem(3, values=[1, 2, 3])
    semctl(semaphores.id, 2, cmd) if cmd != SETVAL else semctl_setval(semaphores.id, 2, 3)
    for num in (-1, 3):
        with fails_with(EINVAL):
            semctl(semaphores.id, num, cmd)
    assert semaphores.values == [1, 2, 3]


@clause("semctl.semnum-ignored", "semctl(2)", "DESCRIPTION")
def test_semnum_is_ignored_for_whole_set(sysv_sem):
    """IPC_STAT, GETALL and IPC_RMID ignore semnum, whatever its value."""
    semaphores = sysv_sem(2, values=[1, 2])
    ds, values = semid_ds()(), (c_ushort * 2)()
    semctl(semaphores.id, 99, IPC_STAT, addressof(ds))
    semctl(semaphores.id, -1, GETALL, addressof(values))
    assert (ds.nsems, list(values)) == (2, [1, 2])
    semctl(semaphores.id, 99, IPC_RMID)
    assert not semaphores.exists()


@clause("semctl.erange", "semctl(2)", "ERRORS", errno=ERANGE)
def test_value_out_of_range_fails(sysv_sem):
    """SETVAL and SETALL fail with ERANGE for a value above SEMVMX, SETVAL also for one below 0, and change nothing."""
    semaphores = sysv_sem(2, values=[1, 2])
    most = semctl_limits().semvmx
    for value in (-1, most + 1):
        with fails_with(ERANGE):
            semaphores.set_value(value)
    with fails_with(ERANGE):
        semaphores.values = [5, most + 1]
    assert semaphores.values == [1, 2]
    semaphores.set_value(most)
    semaphores.values = [0, most]
    assert semaphores.values == [0, most]


@clause("semctl.efault", "semctl(2)", "ERRORS", errno=EFAULT)
def test_invalid_buffer_address_fails(sysv_sem):
    """IPC_STAT, IPC_SET, GETALL and SETALL fail with EFAULT if the buffer's address is not accessible, and change
    nothing.
    """
    semaphores = sysv_sem(2, values=[1, 2], mode=0o600)
    for command in (GETALL, SETALL):
        with fails_with(EFAULT):
            semctl(semaphores.id, 0, command, NOBODYS)
    for command in (IPC_STAT, IPC_SET):  # a raw system call: on 32-bit architectures libc copies the structure itself
        with fails_with(EFAULT):
            raw("semctl", semaphores.id, 0, command, NOBODYS)
    assert (semaphores.values, oct(semaphores.stat().perm.mode)) == ([1, 2], oct(0o600))


@clause("semctl.einval-cmd-id", "semctl(2)", "ERRORS", errno=EINVAL)
def test_invalid_command_or_id_fails(sysv_sem):
    """semctl() fails with EINVAL for an unknown command and an invalid identifier, with EINVAL or EIDRM for that of
    a removed set.
    """
    semaphores = sysv_sem()
    with fails_with(EINVAL):
        semctl(semaphores.id, 0, UNKNOWN)
    with fails_with(EINVAL):
        semctl_stat(-1)
    with fails_with(EINVAL):
        semctl(-1, 0, GETVAL)
    semaphores.remove()
    for command in (GETVAL, GETPID, GETNCNT, GETZCNT, IPC_RMID):
        with fails_with(EINVAL, EIDRM):  # the page documents both
            semctl(semaphores.id, 0, command)
    with fails_with(EINVAL, EIDRM):
        semctl_stat(semaphores.id)


@clause("semctl.raw-einval-cmd", "semctl(2)", "ERRORS", errno=EINVAL)
def test_invalid_command_fails_in_system_call(sysv_sem):
    """The semctl() system call itself, and not only the libc wrapper, fails with EINVAL for an unknown command."""
    semaphores = sysv_sem(values=[3])
    for command in (UNKNOWN, -1):
        with fails_with(EINVAL):
            raw("semctl", semaphores.id, 0, command, 0)
    assert raw("semctl", semaphores.id, 0, GETVAL, 0) == 3


@clause("semctl.rmid-at-once", "semctl(2)", "IPC_RMID")
def test_ipc_rmid_removes_at_once(sysv_sem, on_record):
    """IPC_RMID removes the set at once and frees its key: semget() can create a new set with it, whose values are 0."""
    old = sysv_sem(2, values=[4, 5])
    semctl_rmid(old.id)
    assert not old.exists()
    new = on_record.semget(old.key, 2, IPC_CREAT | IPC_EXCL | 0o600)
    assert new != old.id
    assert [semctl(new, num, GETVAL) for num in (0, 1)] == [0, 0]


@clause("semctl.rmid-exactly-one-succeeds", "semctl(2)", "IPC_RMID")
def test_one_of_several_ipc_rmid_succeeds(sysv_sem, fork, pipe):
    """If several processes remove a set at the same time, IPC_RMID succeeds in one and fails with EINVAL or EIDRM in
    the others.
    """
    semaphores, gate = sysv_sem(), pipe()

    def remove() -> int:
        gate.close_write()
        gate.read(timeout=None)  # all children wait here until the gate closes
        try:
            return semctl(semaphores.id, 0, IPC_RMID)
        except OSError as error:
            return error.errno or -1

    children = [fork(remove) for _ in range(4)]
    for child in children:
        child.wait_blocked("read")
    gate.close_write()
    found = sorted(child.result() for child in children)
    assert (found[0], set(found[1:]) <= {EINVAL, EIDRM}) == (0, True), list(map(errno_name, found))


@clause("semctl.ipc_info", "semctl(2)", "IPC_INFO")
def test_ipc_info_returns_limits_of_proc(in_ipc_namespace):
    """IPC_INFO returns the limits that /proc/sys/kernel/sem shows, and the highest used index."""

    def ask() -> int:
        for _ in range(3):
            semget(IPC_PRIVATE, 2, 0o600)
        found, shown = semctl_limits(), limit_fields("kernel/sem")
        if shown is None:
            untested(Need.PROC_FILES, "needs /proc/sys/kernel/sem")
        assert [found.semmsl, found.semmns, found.semopm, found.semmni] == shown
        return found.highest

    assert in_ipc_namespace({}, ask) == 2


@clause("semctl.sem_info", "semctl(2)", "SEM_INFO")
def test_sem_info_counts_sets_and_semaphores(in_ipc_namespace):
    """SEM_INFO returns the number of sets, the total number of semaphores, and the highest used index."""

    def sums() -> list[tuple[int, int, int]]:
        found = []
        made = [semget(IPC_PRIVATE, nsems, 0o600) for nsems in (1, 10, 100)]
        for _ in range(2):
            info = semctl_info()
            found.append((info.semusz, info.semaem, info.highest))
            semctl_rmid(made.pop())
        return found

    assert in_ipc_namespace({}, sums) == [(3, 111, 2), (2, 11, 1)]


@clause("semctl.sem_stat-index", "semctl(2)", "SEM_STAT")
def test_sem_stat_takes_index(in_ipc_namespace):
    """SEM_STAT takes an index into the kernel's table and returns the identifier of that set; an unused index fails
    with EINVAL.
    """

    def by_index() -> bool:
        semid = semget(IPC_PRIVATE, 23, 0o600)
        for _ in range(1000):
            if semid > 1000:
                break  # the table's entries are reused: from now on identifier and index differ
            semctl_rmid(semid)
            semid = semget(IPC_PRIVATE, 23, 0o600)
        highest = semctl_info().highest
        found = semctl_stat(highest, SEM_STAT)
        with fails_with(EINVAL):
            semctl_stat(highest + 1, SEM_STAT)
        return (found.id, found.nsems) == (semid, 23)

    assert in_ipc_namespace({}, by_index)


@clause("proc.sysvipc-sem-row", "proc_sysvipc(5)", "/proc/sysvipc/")
def test_proc_sysvipc_sem_shows_set(sysv_sem):
    """/proc/sysvipc/sem has one line for each set, with the values that IPC_STAT returns."""
    semaphores = sysv_sem(19, mode=0o640)
    semop(semaphores.id, [(0, 1)])
    rows = sysvipc_sem()
    if rows is None:
        untested(Need.PROC_FILES, "needs /proc/sysvipc")
    found = [row for row in rows if row.semid == semaphores.id]
    assert len(found) == 1, f"{len(found)} rows show the set"
    row = found[0]
    ds = semaphores.stat()
    assert (row.key, row.perms, row.nsems) == (ds.perm.key, ds.perm.mode, ds.nsems) == (semaphores.key, 0o640, 19)
    assert (row.uid, row.gid, row.cuid, row.cgid) == (ds.perm.uid, ds.perm.gid, ds.perm.cuid, ds.perm.cgid)
    assert (row.otime, row.ctime) == (ds.otime, ds.ctime)
    assert row.otime > 0


@clause("sem.threads-are-apart", "semop(2)", "DESCRIPTION")
def test_waiting_blocks_only_calling_thread(sysv_sem):
    """semop() blocks only the calling thread; another thread of the process can wake it."""
    semaphores = sysv_sem()
    thread = threading.Thread(target=semaphores.acquire)
    thread.start()
    semaphores.release()
    thread.join(10)
    assert (thread.is_alive(), semaphores.values) == (False, [0])
