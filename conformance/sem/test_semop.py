"""semop(2): what an operation does where it need not wait, what it leaves on record, and what is refused."""

from __future__ import annotations

import signal
from ctypes import addressof
from errno import E2BIG, EAGAIN, EFAULT, EFBIG, EIDRM, EINVAL, ERANGE

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import IPC_NOWAIT, SEMVMX, semctl_limits, semop
from pytest_ipc.kernel.abi import sembuf

from ..conftest import next_second
from ..raw_syscalls import NOBODYS, raw


@clause("semop.add", "semop(2)", "DESCRIPTION")
def test_a_positive_operation_adds(sysv_sem):
    """A positive operation adds to the value and never waits, whatever the value is."""
    semaphores = sysv_sem(2, values=[0, 7])
    semop(semaphores.id, [(0, 5), (1, 5)])
    assert semaphores.values == [5, 12]


@clause("semop.subtract", "semop(2)", "DESCRIPTION")
def test_a_negative_operation_subtracts(sysv_sem):
    """A negative operation whose amount the value covers subtracts it at once, down to 0."""
    semaphores = sysv_sem(values=[7])
    semop(semaphores.id, [(0, -3)])
    assert semaphores.values == [4]
    semop(semaphores.id, [(0, -4)])
    assert semaphores.values == [0]


@clause("semop.zero-immediate", "semop(2)", "DESCRIPTION")
def test_waiting_for_zero_at_zero(sysv_sem):
    """An operation of 0 passes at once where the value is 0, and leaves it so."""
    semaphores = sysv_sem()
    semop(semaphores.id, [(0, 0)])
    semop(semaphores.id, [(0, 0, IPC_NOWAIT)])
    assert semaphores.values == [0]


@clause("semop.zero-nowait-eagain", "semop(2)", "ERRORS", errno=EAGAIN)
def test_waiting_for_zero_without_waiting(sysv_sem):
    """An operation of 0 with IPC_NOWAIT fails where the value is not 0."""
    semaphores = sysv_sem(values=[1])
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, 0, IPC_NOWAIT)])
    assert semaphores.values == [1]


@clause("semop.neg-nowait-eagain", "semop(2)", "ERRORS", errno=EAGAIN)
def test_taking_too_much_without_waiting(sysv_sem):
    """A negative operation with IPC_NOWAIT fails where the value does not cover it, and takes nothing."""
    semaphores = sysv_sem(values=[2])
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, -3, IPC_NOWAIT)])
    assert semaphores.values == [2]


@clause("semop.atomic-all-or-none", "semop(2)", "DESCRIPTION")
def test_all_operations_or_none(sysv_sem):
    """When one operation of an array cannot be done none of them is: those before it are not, nor those behind it."""
    semaphores = sysv_sem(3, values=[1, 0, 1])
    for last in (-1, 1):
        with fails_with(EAGAIN):
            semop(semaphores.id, [(0, -1), (2, 5), (1, -1, IPC_NOWAIT), (2, last)])
        assert semaphores.values == [1, 0, 1]
    assert semaphores.stat().otime == 0


@clause("semop.array-order", "semop(2)", "DESCRIPTION")
def test_operations_are_done_in_their_order(sysv_sem):
    """The operations are done in the order of the array: what an earlier one adds, a later one may take, not the reverse."""
    semaphores = sysv_sem()
    with fails_with(EAGAIN):
        semop(semaphores.id, [(0, -1, IPC_NOWAIT), (0, 1)])
    semop(semaphores.id, [(0, 1, IPC_NOWAIT), (0, -1, IPC_NOWAIT), (0, 0, IPC_NOWAIT)])
    assert semaphores.values == [0]


@clause("semop.same-semaphore-twice", "semop(2)", "DESCRIPTION")
def test_one_semaphore_may_occur_several_times(sysv_sem):
    """One semaphore may occur several times in an array; all the operations on it count."""
    semaphores = sysv_sem(2, values=[0, 9])
    semop(semaphores.id, [(0, 3), (1, -2), (0, 4), (1, -2), (0, -1)])
    assert semaphores.values == [6, 5]


@clause("semop.lock-idiom", "semop(2)", "EXAMPLES")
def test_wait_for_zero_and_increment(sysv_sem):
    """To wait for 0 and add 1 in one call gives the semaphore to one caller only."""
    semaphores = sysv_sem()
    lock = [(0, 0, IPC_NOWAIT), (0, 1, IPC_NOWAIT)]
    semop(semaphores.id, lock)
    with fails_with(EAGAIN):
        semop(semaphores.id, lock)
    assert semaphores.values == [1]


@clause("semop.sempid", "semop(2)", "DESCRIPTION")
def test_the_last_process_is_on_record(sysv_sem, fork):
    """A success records the caller's process id for each semaphore that the array names, and for no other."""
    semaphores = sysv_sem(4)

    def operate() -> None:
        semop(semaphores.id, [(0, 1), (2, 0)])
        signal.pause()

    actor = fork(operate)
    actor.wait_blocked("pause")
    assert [semaphores.last_pid(num) for num in range(4)] == [actor.pid, 0, actor.pid, 0]


@clause("semop.sempid-outlives-process", "semop(2)", "DESCRIPTION")
def test_the_last_process_stays_on_record(sysv_sem, fork):
    """The process id of the last caller stays on record when that process has ended."""
    semaphores = sysv_sem()
    actor = fork(semop, semaphores.id, [(0, 1)])
    actor.result()
    assert semaphores.last_pid() == actor.pid


@clause("semop.otime", "semop(2)", "DESCRIPTION")
def test_the_time_of_the_last_operation(sysv_sem):
    """A success sets the time of the last operation to now; a failure and SETVAL leave it."""
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
def test_an_array_has_at_most_semopm_operations(sysv_sem):
    """An array of SEMOPM operations is done; one more is refused, and none is done."""
    most = semctl_limits().semopm
    if most > 10_000:
        untested(f"needs a lower limit than {most} operations in a call")
    semaphores = sysv_sem(2)
    semop(semaphores.id, [(0, 1)] * most)
    with fails_with(E2BIG):
        semop(semaphores.id, [(1, 1)] * (most + 1))
    assert semaphores.values == [most, 0]


@clause("semop.efault", "semop(2)", "ERRORS", errno=EFAULT)
def test_operations_that_are_no_memory(sysv_sem):
    """An array at an address that cannot be read is refused."""
    semaphores = sysv_sem()
    with fails_with(EFAULT):
        semop(semaphores.id, NOBODYS, 1)
    assert semaphores.values == [0]


@clause("semtimedop.efault-timeout", "semop(2)", "ERRORS", errno=EFAULT)
def test_a_time_limit_that_is_no_memory(sysv_sem):
    """A time limit at an address that cannot be read is refused, though there is nothing to wait for."""
    semaphores = sysv_sem()
    add = sembuf(0, 1, 0)
    with fails_with(EFAULT):  # past libc, which on 32-bit machines reads the time itself
        raw("semtimedop", semaphores.id, addressof(add), 1, NOBODYS)
    assert semaphores.values == [0]


@clause("semop.efbig", "semop(2)", "ERRORS", errno=EFBIG)
def test_a_number_outside_the_set(sysv_sem):
    """An operation on a number far beyond the set is refused, and none of its array is done."""
    semaphores = sysv_sem(2)
    with fails_with(EFBIG):
        semop(semaphores.id, [(0, 1), (65535, 1)])
    assert semaphores.values == [0, 0]


@clause("semop.efbig-exact-bound", "semop(2)", "ERRORS", errno=EFBIG)
def test_the_number_behind_the_last(sysv_sem):
    """Semaphores are numbered from 0: the number equal to how many there are is already outside."""
    semaphores = sysv_sem(3)
    semop(semaphores.id, [(2, 1)])
    with fails_with(EFBIG):
        semop(semaphores.id, [(3, 1)])
    assert semaphores.values == [0, 0, 1]


@clause("semop.einval-nsops-id", "semop(2)", "ERRORS", errno=EINVAL)
def test_no_operations_or_no_set(sysv_sem):
    """An array of no operations is refused, and so is an identifier below 0 or of a set that is gone."""
    semaphores = sysv_sem()
    with fails_with(EINVAL):
        semop(semaphores.id, [])
    with fails_with(EINVAL):
        semop(-1, [(0, 1)])
    semaphores.remove()
    with fails_with(EINVAL, EIDRM):  # the page has a word for both: it does not exist, and it was removed
        semop(semaphores.id, [(0, 1)])


@clause("semop.erange", "semop(2)", "ERRORS", errno=ERANGE)
def test_a_value_is_at_most_semvmx(sysv_sem):
    """A value may be raised to SEMVMX and not above: the operation is refused and the value stays."""
    semaphores = sysv_sem(2)
    most = semctl_limits().semvmx
    assert most == SEMVMX
    semop(semaphores.id, [(0, most - 1)])
    semop(semaphores.id, [(0, 1)])
    with fails_with(ERANGE):
        semop(semaphores.id, [(1, 1), (0, 1)])
    assert semaphores.values == [most, 0]


@clause("semop.raw-call", "semop(2)", "DESCRIPTION")
def test_the_system_call_itself(sysv_sem):
    """The system call past libc's wrapper answers as the wrapper does: an array of none, an address of nothing, no set."""
    semaphores = sysv_sem()
    add = sembuf(0, 1, 0)
    with fails_with(EINVAL):
        raw("semop", semaphores.id, addressof(add), 0)
    with fails_with(EFAULT):
        raw("semop", semaphores.id, NOBODYS, 1)
    with fails_with(EINVAL):
        raw("semop", -1, addressof(add), 1)
    assert (raw("semop", semaphores.id, addressof(add), 1), semaphores.values) == (0, [1])
