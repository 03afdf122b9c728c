"""proc(5), semget(2), semop(2): the limits of System V semaphores, enforced on both sides, in an IPC namespace of the test's own."""

from __future__ import annotations

import os
from errno import E2BIG, EINVAL, ENOSPC

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    GETVAL,
    IPC_PRIVATE,
    limit,
    limit_fields,
    semctl,
    semctl_limits,
    semctl_rmid,
    semctl_stat,
    semget,
    semop,
)

from ..credentials import change_limit


def make(nsems: int) -> int:
    return semget(IPC_PRIVATE, nsems, 0o600)


@clause("semget.semmni-enospc", "semget(2)", "ERRORS", errno=ENOSPC)
def test_there_are_at_most_semmni_sets(in_ipc_namespace):
    """SEMMNI sets can exist and not one more; when one is removed there is room for another."""

    def both_sides() -> int:
        semids = [make(1) for _ in range(3)]
        with fails_with(ENOSPC):
            make(1)
        semctl_rmid(semids[1])
        return make(1)

    assert in_ipc_namespace({"kernel/sem": "100 10000 100 3"}, both_sides) >= 0


@clause("semget.semmns-enospc", "semget(2)", "ERRORS", errno=ENOSPC)
def test_all_sets_have_at_most_semmns_semaphores(in_ipc_namespace):
    """All sets together may have SEMMNS semaphores and not one more."""

    def both_sides() -> int:
        make(6)
        with fails_with(ENOSPC):
            make(5)
        return semctl_stat(make(4)).nsems

    assert in_ipc_namespace({"kernel/sem": "100 10 100 100"}, both_sides) == 4


@clause("semget.semmsl-lowered", "semget(2)", "Semaphore limits", errno=EINVAL)
def test_a_limit_of_semmsl_is_enforced(in_ipc_namespace):
    """When SEMMSL is lowered a new set may have that many semaphores and not one more; what exists stays usable."""

    def both_sides() -> tuple[int, int]:
        large = make(9)
        change_limit("kernel/sem", "5 10000 100 100")
        with fails_with(EINVAL):
            make(6)
        semop(large, [(8, 1)])
        return semctl_stat(make(5)).nsems, semctl(large, 8, GETVAL)

    assert in_ipc_namespace({}, both_sides) == (5, 1)


@clause("semop.semopm-sysctl", "semop(2)", "Semaphore limits", errno=E2BIG)
def test_a_limit_of_semopm_counts_at_once(in_ipc_namespace):
    """When SEMOPM is lowered, an operation on a set that exists may be of that many and not one more."""

    def both_sides() -> int:
        semid = make(1)
        semop(semid, [(0, 1)] * 4)
        change_limit("kernel/sem", "100 10000 3 100")
        with fails_with(E2BIG):
            semop(semid, [(0, 1)] * 4)
        semop(semid, [(0, 1)] * 3)
        return semctl(semid, 0, GETVAL)

    assert in_ipc_namespace({}, both_sides) == 7


@clause("proc.kernel-sem-format", "proc_sys_kernel(5)", "/proc/sys/kernel/sem")
def test_the_file_has_four_numbers(in_ipc_namespace):
    """/proc/sys/kernel/sem has four numbers: SEMMSL, SEMMNS, SEMOPM and SEMMNI, in this order."""

    def tell() -> tuple[list[int] | None, list[int]]:
        found = semctl_limits()
        return limit_fields("kernel/sem"), [found.semmsl, found.semmns, found.semopm, found.semmni]

    assert in_ipc_namespace({"kernel/sem": "11 222 33 44"}, tell) == ([11, 222, 33, 44], [11, 222, 33, 44])


@clause("proc.kernel-sem-write-partial", "proc_sys_kernel(5)", "/proc/sys/kernel/sem")
def test_fewer_numbers_leave_the_others(in_ipc_namespace):
    """Writing fewer than four numbers changes the first ones and leaves the others as they are."""

    def write() -> list[int] | None:
        change_limit("kernel/sem", "12 223")
        return limit_fields("kernel/sem")

    assert in_ipc_namespace({"kernel/sem": "11 222 33 44"}, write) == [12, 223, 33, 44]


@clause("proc.kernel-sem-defaults", "proc_sys_kernel(5)", "/proc/sys/kernel/sem", since="3.19")
def test_the_default_limits(in_ipc_namespace):
    """By default SEMMSL is 32000, SEMOPM 500, SEMMNI 32000, and SEMMNS as many as these sets can have."""

    def tell() -> list[int] | None:
        return limit_fields("kernel/sem")

    assert in_ipc_namespace({}, tell) == [32000, 32000 * 32000, 500, 32000]


@clause("semget.next-id", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_the_next_id_can_be_chosen(in_ipc_namespace):
    """sem_next_id, where the kernel has it, is the identifier of the next set, and is -1 again afterwards."""

    def choose() -> tuple[int, int | None]:
        if not os.path.exists("/proc/sys/kernel/sem_next_id"):
            untested("needs /proc/sys/kernel/sem_next_id")
        change_limit("kernel/sem_next_id", 5)
        return make(1), limit("kernel/sem_next_id")

    assert in_ipc_namespace({}, choose) == (5, -1)


@clause("proc.auto_msgmni-reads-0", "proc_sys_kernel(5)", "/proc/sys/kernel/auto_msgmni", since="3.19")
def test_auto_msgmni_is_without_effect(in_ipc_namespace):
    """auto_msgmni, where the kernel still has it, reads 0 whatever is written to it."""
    if limit("kernel/auto_msgmni") is None:
        untested("needs /proc/sys/kernel/auto_msgmni")

    def write_and_read() -> tuple[int | None, int | None]:
        before = limit("kernel/auto_msgmni")
        change_limit("kernel/auto_msgmni", 1)
        return before, limit("kernel/auto_msgmni")

    assert in_ipc_namespace({}, write_and_read) == (0, 0)
