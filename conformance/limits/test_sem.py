"""proc(5), semget(2), semop(2): the limits of System V semaphores, tested at and above the limit in a new IPC
namespace.
"""

from __future__ import annotations

import os
from errno import E2BIG, EINVAL, ENOSPC

from pytest_ipc import Need, clause, fails_with, untested
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
def test_semmni_limits_the_sets(in_ipc_namespace):
    """semget() fails with ENOSPC if SEMMNI sets exist, and succeeds after one is removed."""

    def both_sides() -> int:
        semids = [make(1) for _ in range(3)]
        with fails_with(ENOSPC):
            make(1)
        semctl_rmid(semids[1])
        return make(1)

    assert in_ipc_namespace({"kernel/sem": "100 10000 100 3"}, both_sides) >= 0


@clause("semget.semmns-enospc", "semget(2)", "ERRORS", errno=ENOSPC)
def test_semmns_limits_all_semaphores(in_ipc_namespace):
    """semget() fails with ENOSPC if all sets would have more than SEMMNS semaphores, and otherwise succeeds."""

    def both_sides() -> int:
        make(6)
        with fails_with(ENOSPC):
            make(5)
        return semctl_stat(make(4)).nsems

    assert in_ipc_namespace({"kernel/sem": "100 10 100 100"}, both_sides) == 4


@clause("semget.semmsl-lowered", "semget(2)", "Semaphore limits", errno=EINVAL)
def test_lowered_semmsl_limits_new_sets(in_ipc_namespace):
    """semget() fails with EINVAL above a lowered SEMMSL and succeeds at it; larger existing sets stay usable."""

    def both_sides() -> tuple[int, int]:
        large = make(9)
        change_limit("kernel/sem", "5 10000 100 100")
        with fails_with(EINVAL):
            make(6)
        semop(large, [(8, 1)])
        return semctl_stat(make(5)).nsems, semctl(large, 8, GETVAL)

    assert in_ipc_namespace({}, both_sides) == (5, 1)


@clause("semop.semopm-sysctl", "semop(2)", "Semaphore limits", errno=E2BIG)
def test_lowered_semopm_limits_existing_sets(in_ipc_namespace):
    """semop() on an existing set fails with E2BIG above a lowered SEMOPM, and succeeds at it."""

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
def test_sem_has_four_numbers(in_ipc_namespace):
    """/proc/sys/kernel/sem has four numbers: SEMMSL, SEMMNS, SEMOPM and SEMMNI, in this order."""

    def read_limits() -> tuple[list[int] | None, list[int]]:
        found = semctl_limits()
        return limit_fields("kernel/sem"), [found.semmsl, found.semmns, found.semopm, found.semmni]

    assert in_ipc_namespace({"kernel/sem": "11 222 33 44"}, read_limits) == ([11, 222, 33, 44], [11, 222, 33, 44])


@clause("proc.kernel-sem-write-partial", "proc_sys_kernel(5)", "/proc/sys/kernel/sem")
def test_partial_write_keeps_the_other_numbers(in_ipc_namespace):
    """A write of fewer than four numbers to /proc/sys/kernel/sem changes the first ones and keeps the others."""

    def write() -> list[int] | None:
        change_limit("kernel/sem", "12 223")
        return limit_fields("kernel/sem")

    assert in_ipc_namespace({"kernel/sem": "11 222 33 44"}, write) == [12, 223, 33, 44]


@clause("proc.kernel-sem-defaults", "proc_sys_kernel(5)", "/proc/sys/kernel/sem", since="3.19")
def test_default_limits(in_ipc_namespace):
    """By default SEMMSL is 32000, SEMOPM 500, SEMMNI 32000, and SEMMNS the product of SEMMSL and SEMMNI."""

    def read_limits() -> list[int] | None:
        return limit_fields("kernel/sem")

    assert in_ipc_namespace({}, read_limits) == [32000, 32000 * 32000, 500, 32000]


@clause("semget.next-id", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_next_id_can_be_chosen(in_ipc_namespace):
    """semget() uses the identifier in sem_next_id, if the kernel has it, for the next set and resets it to -1."""

    def choose() -> tuple[int, int | None]:
        if not os.path.exists("/proc/sys/kernel/sem_next_id"):
            untested(Need.PROC_FILES, "needs /proc/sys/kernel/sem_next_id")
        change_limit("kernel/sem_next_id", 5)
        return make(1), limit("kernel/sem_next_id")

    assert in_ipc_namespace({}, choose) == (5, -1)


@clause("proc.auto_msgmni-reads-0", "proc_sys_kernel(5)", "/proc/sys/kernel/auto_msgmni", since="3.19")
def test_auto_msgmni_has_no_effect(in_ipc_namespace):
    """auto_msgmni, if the kernel has it, reads 0 whatever is written to it."""
    if limit("kernel/auto_msgmni") is None:
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/auto_msgmni")

    def write_and_read() -> tuple[int | None, int | None]:
        before = limit("kernel/auto_msgmni")
        change_limit("kernel/auto_msgmni", 1)
        return before, limit("kernel/auto_msgmni")

    assert in_ipc_namespace({}, write_and_read) == (0, 0)
