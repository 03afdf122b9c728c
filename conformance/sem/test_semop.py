"""semop(2): operations that need not wait, the fields that they update, and errors."""

from __future__ import annotations

import signal
from ctypes import addressof
from errno import E2BIG, EAGAIN, EFAULT, EFBIG, EIDRM, EINVAL, ERANGE

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import IPC_NOWAIT, SEMVMX, semctl_limits, semop
from pytest_ipc.kernel.abi import sembuf

from ..conftest import next_second
from ..raw_syscalls import NOBODYS, raw


@clause("semop.add", "semop(2)", "DESCRIPTION")
def test_positive_operation_adds(sysv_sem):
    """semop() with a positive sem_op adds it to the semaphore's value without waiting."""
    semaphores = sysv_sem(2, values=[0, 7])
    semop(semaphores.id, [(0, 5), (1, 5)])
    assert semaphores.values == [5, 12]


@clause("semop.subtract", "semop(2)", "DESCRIPTION")
def test_negative_operation_subtracts(sysv_sem):
    """semop() with a negative sem_op subtracts its absolute value at once if the semaphore's value is at least as
    large.
    """
    semaphores = sysv_sem(values=[7])
    semop(semaphores.id, [(0, -3)])
    assert semaphores.values == [4]
    semop(semaphores.id, [(0, -4)])
    assert semaphores.values == [0]


@clause("semop.zero-immediate", "semop(2)", "DESCRIPTION")
def test_zero_operation_succeeds_at_zero(sysv_sem):
    """semop() with sem_op 0 succeeds at once if the semaphore's value is 0, and does not change it."""
    semaphores = sysv_sem()
    semop(semaphores.id, [(0, 0)])
    semop(semaphores.id, [(0, 0, IPC_NOWAIT)])
    assert semaphores.values == [0]


@clause("semop.zero-nowait-eagain", "semop(2)", "ERRORS", errno=EAGAIN)
def test_zero_operation_with_nowait_fails(sysv_sem):
    """semop() with sem_op 0 and IPC_NOWAIT fails with EAGAIN if the semaphore's value is not 0."""
    semaphores = sysv_sem(values=[1])
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, 0, IPC_NOWAIT)])
    assert semaphores.values == [1]


@clause("semop.neg-nowait-eagain", "semop(2)", "ERRORS", errno=EAGAIN)
def test_negative_operation_with_nowait_fails(sysv_sem):
    """semop() with a negative sem_op and IPC_NOWAIT fails with EAGAIN if the semaphore's value is smaller, and does
    not change it.
    """
    semaphores = sysv_sem(values=[2])
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, -3, IPC_NOWAIT)])
    assert semaphores.values == [2]


@clause("semop.atomic-all-or-none", "semop(2)", "DESCRIPTION")
def test_array_is_all_or_none(sysv_sem):
    """semop() performs all operations of the array or none: if one fails, neither earlier nor later ones take
    effect.
    """
    semaphores = sysv_sem(3, values=[1, 0, 1])
    for last in (-1, 1):
        with fails_with(EAGAIN):
            semop(semaphores.id, [(0, -1), (2, 5), (1, -1, IPC_NOWAIT), (2, last)])
        assert semaphores.values == [1, 0, 1]
    assert semaphores.stat().otime == 0


@clause("semop.array-order", "semop(2)", "DESCRIPTION")
def test_operations_are_performed_in_array_order(sysv_sem):
    """semop() performs the operations in array order: a later operation can use what an earlier one has added."""
    semaphores = sysv_sem()
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, -1, IPC_NOWAIT), (0, 1)])
    semop(semaphores.id, [(0, 1, IPC_NOWAIT), (0, -1, IPC_NOWAIT), (0, 0, IPC_NOWAIT)])
    assert semaphores.values == [0]


@clause("semop.same-semaphore-twice", "semop(2)", "DESCRIPTION")
def test_semaphore_may_occur_several_times(sysv_sem):
    """One semaphore may occur several times in the array of semop(), and every operation on it takes effect."""
    semaphores = sysv_sem(2, values=[0, 9])
    semop(semaphores.id, [(0, 3), (1, -2), (0, 4), (1, -2), (0, -1)])
    assert semaphores.values == [6, 5]


@clause("semop.lock-idiom", "semop(2)", "EXAMPLES")
def test_wait_for_zero_and_increment_locks(sysv_sem):
    """semop() with sem_op 0 and then sem_op 1 works as a lock: only one caller gets it."""
    semaphores = sysv_sem()
    lock = [(0, 0, IPC_NOWAIT), (0, 1, IPC_NOWAIT)]
    semop(semaphores.id, lock)
    with fails_with(EAGAIN):
        semop(semaphores.id, lock)
    assert semaphores.values == [1]


@clause("semop.sempid", "semop(2)", "DESCRIPTION")
def test_semop_sets_sempid(sysv_sem, fork):
    """semop() sets sempid of each semaphore in the array, and of no other, to the caller's process ID."""
    semaphores = sysv_sem(4)

    def operate() -> None:
        semop(semaphores.id, [(0, 1), (2, 0)])
        signal.pause()

    child = fork(operate)
    child.wait_blocked("pause")
    assert [semaphores.last_pid(num) for num in range(4)] == [child.pid, 0, child.pid, 0]


@clause("semop.sempid-outlives-process", "semop(2)", "DESCRIPTION")
def test_sempid_outlives_process(sysv_sem, fork):
    """sempid of a semaphore stays the same after that process has ended."""
    semaphores = sysv_sem()
    child = fork(semop, semaphores.id, [(0, 1)])
    child.result()
    assert semaphores.last_pid() == child.pid


@clause("semop.otime", "semop(2)", "DESCRIPTION")
def test_semop_sets_otime(sysv_sem):
    """semop() sets sem_otime to the current time if it succeeds; neither a failed semop() nor SETVAL does."""
    semaphores = sysv_sem()
    made = semaphores.stat().ctime
    semaphores.set_value(1)
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, -2, IPC_NOWAIT)])
    assert semaphores.stat().otime == 0
    semop(semaphores.id, [(0, 1)])
    first = semaphores.stat().otime
    assert first >= made
    next_second()
    semop(semaphores.id, [(0, -1)])
    assert semaphores.stat().otime > first


@clause("semop.e2big", "semop(2)", "ERRORS", errno=E2BIG)
def test_more_than_semopm_operations_fail(sysv_sem):
    """semop() performs up to SEMOPM operations; it fails with E2BIG for more, and performs none."""
    most = semctl_limits().semopm
    if most > 10_000:
        untested(Need.MACHINE_LIMITS, f"needs a lower limit than {most} operations in a call")
    semaphores = sysv_sem(2)
    semop(semaphores.id, [(0, 1)] * most)
    with fails_with(E2BIG):
        semop(semaphores.id, [(1, 1)] * (most + 1))
    assert semaphores.values == [most, 0]


@clause("semop.efault", "semop(2)", "ERRORS", errno=EFAULT)
def test_invalid_array_address_fails(sysv_sem):
    """semop() fails with EFAULT if the address of the array is not accessible."""
    semaphores = sysv_sem()
    with fails_with(EFAULT):
        semop(semaphores.id, NOBODYS, 1)
    assert semaphores.values == [0]


@clause("semtimedop.efault-timeout", "semop(2)", "ERRORS", errno=EFAULT)
def test_invalid_timeout_address_fails(sysv_sem):
    """semtimedop() fails with EFAULT if the address of the timeout is not accessible, even if it need not wait."""
    semaphores = sysv_sem()
    add = sembuf(0, 1, 0)
    with fails_with(EFAULT):  # a raw system call: on 32-bit architectures libc reads the timeout
        raw("semtimedop", semaphores.id, addressof(add), 1, NOBODYS)
    assert semaphores.values == [0]


@clause("semop.efbig", "semop(2)", "ERRORS", errno=EFBIG)
def test_sem_num_outside_set_fails(sysv_sem):
    """semop() fails with EFBIG if a sem_num is far above the size of the set, and performs none of the array."""
    semaphores = sysv_sem(2)
    with fails_with(EFBIG):
        semop(semaphores.id, [(0, 1), (65535, 1)])
    assert semaphores.values == [0, 0]


@clause("semop.efbig-exact-bound", "semop(2)", "ERRORS", errno=EFBIG)
def test_sem_num_equal_to_size_fails(sysv_sem):
    """semop() fails with EFBIG if a sem_num equals the size of the set."""
    semaphores = sysv_sem(3)
    semop(semaphores.id, [(2, 1)])
    with fails_with(EFBIG):
        semop(semaphores.id, [(3, 1)])
    assert semaphores.values == [0, 0, 1]


@clause("semop.einval-nsops-id", "semop(2)", "ERRORS", errno=EINVAL)
def test_empty_array_or_invalid_id_fails(sysv_sem):
    """semop() fails with EINVAL for nsops 0 and an invalid identifier, with EINVAL or EIDRM for that of a removed
    set.
    """
    semaphores = sysv_sem()
    with fails_with(EINVAL):
        semop(semaphores.id, [])
    with fails_with(EINVAL):
        semop(-1, [(0, 1)])
    semaphores.remove()
    with fails_with(EINVAL, EIDRM):  # the page documents both: nonexistent, and removed
        semop(semaphores.id, [(0, 1)])


@clause("semop.erange", "semop(2)", "ERRORS", errno=ERANGE)
def test_value_above_semvmx_fails(sysv_sem):
    """semop() raises a value up to SEMVMX; it fails with ERANGE if the value would exceed SEMVMX, and performs none
    of the array.
    """
    semaphores = sysv_sem(2)
    most = semctl_limits().semvmx
    assert most == SEMVMX
    semop(semaphores.id, [(0, most - 1)])
    semop(semaphores.id, [(0, 1)])
    with fails_with(ERANGE):
        semop(semaphores.id, [(1, 1), (0, 1)])
    assert semaphores.values == [most, 0]


@clause("semop.raw-call", "semop(2)", "DESCRIPTION")
def test_system_call_fails_as_wrapper_does(sysv_sem):
    """The semop() system call itself fails with EINVAL for nsops 0 or an invalid identifier, and with EFAULT for an
    invalid address.
    """
    semaphores = sysv_sem()
    add = sembuf(0, 1, 0)
    with fails_with(EINVAL):
        raw("semop", semaphores.id, addressof(add), 0)
    with fails_with(EFAULT):
        raw("semop", semaphores.id, NOBODYS, 1)
    with fails_with(EINVAL):
        raw("semop", -1, addressof(add), 1)
    assert (raw("semop", semaphores.id, addressof(add), 1), semaphores.values) == (0, [1])
