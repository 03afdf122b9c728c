"""semop(2): waiting for a semaphore, and the events that end it."""

from __future__ import annotations

import os
import signal
import time
from ctypes import addressof, c_void_p
from errno import EAGAIN, EIDRM, EINTR
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGUSR1

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SA_RESTART, semop, semtimedop
from pytest_ipc.kernel.abi import timespec

from .conftest import first_to_end


@clause("semop.neg-blocks-until-enough", "semop(2)", "DESCRIPTION")
def test_negative_operation_waits_until_value_suffices(sysv_sem, waiting):
    """semop() with a negative sem_op waits until the value is at least its absolute value, and then subtracts it."""
    semaphores = sysv_sem()
    taker = waiting(semaphores, (0, -2))
    semaphores.release()
    taker.wait_blocked("semop")
    assert semaphores.values == [1]
    semaphores.op((0, 2))
    assert taker.result() == 0
    assert semaphores.values == [1]


@clause("semop.zero-blocks-until-zero", "semop(2)", "DESCRIPTION")
def test_zero_operation_waits_until_zero(sysv_sem, waiting):
    """semop() with sem_op 0 waits until the semaphore's value is 0, and does not change it."""
    semaphores = sysv_sem(values=[2])
    waiter = waiting(semaphores, (0, 0))
    semaphores.acquire()
    waiter.wait_blocked("semop")
    semaphores.acquire()
    assert waiter.result() == 0
    assert semaphores.values == [0]


@clause("semop.waits-as-a-whole", "semop(2)", "DESCRIPTION")
def test_array_waits_as_a_whole(sysv_sem, waiting):
    """If one operation of the array must wait, semop() performs none until all can proceed, and then performs all at
    once.
    """
    semaphores = sysv_sem(2, values=[1, 0])
    taker = waiting(semaphores, (0, -1), (1, -1))
    assert semaphores.values == [1, 0]
    semaphores.release(1)
    assert taker.result() == 0
    assert semaphores.values == [0, 0]


@clause("semop.best-fit-not-fifo", "semop(2)", "DESCRIPTION")
def test_smaller_waiter_proceeds_before_larger(sysv_sem, waiting):
    """A semop() that can proceed does so, even if another one that waits for more has waited longer."""
    semaphores = sysv_sem()
    large, small = waiting(semaphores, (0, -3)), waiting(semaphores, (0, -1))
    semaphores.release()
    assert small.result() == 0
    large.wait_blocked("semop")
    semaphores.op((0, 3))
    assert large.result() == 0


@clause("semop.one-increment-one-waiter", "semop(2)", "DESCRIPTION")
def test_one_increment_wakes_one_of_equal_waiters(sysv_sem, waiting):
    """If several processes wait to subtract the same amount, adding that amount lets one proceed, and the others
    continue to wait.
    """
    semaphores = sysv_sem()
    waiters = [waiting(semaphores, (0, -1)) for _ in range(3)]
    while waiters:
        semaphores.release()
        assert first_to_end(waiters).result() == 0
        for child in waiters:
            child.wait_blocked("semop")


@clause("semop.eidrm", "semop(2)", "ERRORS", errno=EIDRM)
def test_removal_ends_waiting(sysv_sem, waiting):
    """semop() that waits for an increase or for zero fails with EIDRM when the set is removed."""
    semaphores = sysv_sem(2, values=[0, 1])
    taker, waiter = waiting(semaphores, (0, -1)), waiting(semaphores, (1, 0))
    semaphores.remove()
    assert (taker.result(), waiter.result()) == (EIDRM, EIDRM)


@clause("semop.eidrm-all-waiters", "semctl(2)", "IPC_RMID", errno=EIDRM)
def test_removal_wakes_all_waiting_processes(sysv_sem, waiting):
    """IPC_RMID wakes every process that waits on the set, on any semaphore and with any array; each semop() fails
    with EIDRM.
    """
    semaphores = sysv_sem(3, values=[0, 1, 0])
    arrays = [((0, -1),), ((0, -5),), ((1, 0),), ((1, -1), (2, -1)), ((2, -1),)]
    children = [waiting(semaphores, *array) for array in arrays]
    semaphores.remove()
    assert [child.result() for child in children] == [EIDRM] * 5


@clause("semop.eintr", "semop(2)", "ERRORS", errno=EINTR)
def test_signal_handler_ends_waiting(sysv_sem, fork, signals):
    """semop() that waits for an increase or for zero fails with EINTR when a signal handler runs, and performs
    nothing.
    """
    for value, operation in ((0, (0, -1)), (1, (0, 0))):
        semaphores = sysv_sem(values=[value])
        child = fork(_caught_while_waiting, semaphores, signals, operation, 0)
        child.wait_blocked("semop")
        child.signal(SIGUSR1)
        assert child.result() == 1
        assert semaphores.values == [value]


@clause("semop.eintr-despite-sa_restart", "semop(2)", "NOTES", errno=EINTR)
def test_sa_restart_does_not_restart_semop(sysv_sem, fork, signals):
    """semop() fails with EINTR when a signal handler runs, even if it was established with SA_RESTART."""
    semaphores = sysv_sem()
    child = fork(_caught_while_waiting, semaphores, signals, (0, -1), SA_RESTART)
    child.wait_blocked("semop")
    child.signal(SIGUSR1)
    assert child.result() == 1


def _caught_while_waiting(semaphores, signals, operation, flags) -> int:
    caught = signals.catch(SIGUSR1, flags=flags)
    with fails_with(EINTR):
        semop(semaphores.id, [operation])
    count: int = caught.count
    return count


@clause("semop.stop-cont-eintr", "signal(7)", "Interruption of system calls and library functions by stop signals")
def test_stop_and_continue_ends_waiting(sysv_sem, waiting):
    """On Linux a waiting semop() fails with EINTR after SIGSTOP and SIGCONT, even without a signal handler."""
    semaphores = sysv_sem()
    child = waiting(semaphores, (0, -1))
    child.signal(SIGSTOP)
    child.wait_state("T")
    child.signal(SIGCONT)
    assert child.result() == EINTR


@clause("semop.ignored-signal-waits-on", "semop(2)", "DESCRIPTION")
def test_ignored_signal_does_not_end_waiting(sysv_sem, fork, signals):
    """An ignored signal does not interrupt a waiting semop()."""
    semaphores = sysv_sem()

    def life() -> None:
        signals.ignore(SIGUSR1)
        semop(semaphores.id, [(0, -1)])

    child = fork(life)
    child.wait_blocked("semop")
    child.signal(SIGUSR1)
    child.wait_blocked("semop")
    semaphores.release()
    assert child.result() is None


@clause("semop.semncnt-count", "semop(2)", "DESCRIPTION")
def test_getncnt_counts_processes_waiting_for_increase(sysv_sem, waiting):
    """GETNCNT returns the number of processes that wait for the semaphore's value to increase."""
    semaphores = sysv_sem(2)
    assert semaphores.waiters(0) == 0
    children = [waiting(semaphores, (0, -1)) for _ in range(3)]
    assert [semaphores.waiters(0), semaphores.waiters(1), semaphores.zero_waiters(0)] == [3, 0, 0]
    semaphores.release()
    assert first_to_end([*children]).result() == 0
    assert semaphores.waiters(0) == 2
    semaphores.op((0, 2))
    assert [child.result() for child in children] == [0, 0, 0]
    assert semaphores.waiters(0) == 0


@clause("semop.semzcnt-count", "semop(2)", "DESCRIPTION")
def test_getzcnt_counts_processes_waiting_for_zero(sysv_sem, waiting):
    """GETZCNT returns the number of processes that wait for the semaphore's value to become 0."""
    semaphores = sysv_sem(2, values=[1, 1])
    assert semaphores.zero_waiters(1) == 0
    children = [waiting(semaphores, (1, 0)) for _ in range(3)]
    assert [semaphores.zero_waiters(1), semaphores.zero_waiters(0), semaphores.waiters(1)] == [3, 0, 0]
    semaphores.acquire(1)
    assert [child.result() for child in children] == [0, 0, 0]
    assert semaphores.zero_waiters(1) == 0


@clause("semop.counts-drop-on-signal", "semop(2)", "DESCRIPTION")
def test_interrupted_process_is_not_counted(sysv_sem, waiting, fork, signals):
    """GETNCNT and GETZCNT no longer count a process that was interrupted or killed while it waited."""
    semaphores = sysv_sem(2, values=[0, 1])
    interrupted = fork(_caught_while_waiting, semaphores, signals, (0, -1), 0)
    killed, stays = waiting(semaphores, (1, 0)), waiting(semaphores, (0, -1))
    interrupted.wait_blocked("semop")
    assert (semaphores.waiters(0), semaphores.zero_waiters(1)) == (2, 1)
    interrupted.signal(SIGUSR1)
    interrupted.result()
    killed.signal(SIGKILL)
    killed.wait()
    assert (semaphores.waiters(0), semaphores.zero_waiters(1)) == (1, 0)
    semaphores.release()
    assert stays.result() == 0


@clause("semtimedop.null-is-semop", "semop(2)", "semtimedop()")
def test_semtimedop_without_timeout_is_semop(sysv_sem, fork):
    """semtimedop() with a NULL timeout behaves as semop(): it succeeds at once if it can, and otherwise waits."""
    semaphores = sysv_sem(values=[1])
    semtimedop(semaphores.id, [(0, -1)], None)
    child = fork(semtimedop, semaphores.id, [(0, -1)], None)
    child.wait_blocked("semtimedop")
    semaphores.release()
    child.result()
    assert semaphores.values == [0]


@clause("semtimedop.timeout-eagain", "semop(2)", "semtimedop()", errno=EAGAIN)
def test_semtimedop_fails_after_timeout(sysv_sem):
    """semtimedop() fails with EAGAIN when the timeout expires, also with a timeout of 0, and performs none of the
    array.
    """
    semaphores = sysv_sem(2, values=[1, 1])
    for array in ([(0, -1), (1, -2)], [(0, 1), (1, 0)]):
        for timeout in (0, 0.01):
            with fails_with(EAGAIN):
                semtimedop(semaphores.id, array, timeout)
    assert semaphores.values == [1, 1]
    assert (semaphores.waiters(1), semaphores.zero_waiters(1)) == (0, 0)


@clause("semtimedop.in-time", "semop(2)", "semtimedop()")
def test_semtimedop_succeeds_within_timeout(sysv_sem, fork):
    """semtimedop() succeeds if the operations can proceed before the timeout expires."""
    semaphores = sysv_sem()
    child = fork(semtimedop, semaphores.id, [(0, -1)], 3600)
    child.wait_blocked("semtimedop")
    semaphores.release()
    child.result()
    assert semaphores.values == [0]


@clause("semtimedop.elapsed-lower-bound", "semop(2)", "semtimedop()")
def test_semtimedop_waits_at_least_timeout(sysv_sem):
    """semtimedop() does not fail before the timeout has expired."""
    semaphores = sysv_sem()
    begun = time.monotonic()
    with fails_with(EAGAIN):
        semtimedop(semaphores.id, [(0, -1)], 0.05)
    assert time.monotonic() - begun >= 0.05


@clause("semtimedop.timeout-unchanged", "semop(2)", "semtimedop()")
def test_semtimedop_does_not_change_timeout(sysv_sem, fork, signals):
    """semtimedop() does not change the timeout structure when a signal handler interrupts it."""
    semaphores = sysv_sem()

    def life() -> tuple[int, int]:
        signals.catch(SIGUSR1)
        limit = timespec(3600, 123)
        with fails_with(EINTR):
            semtimedop(semaphores.id, [(0, -1)], c_void_p(addressof(limit)))
        return limit.tv_sec, limit.tv_nsec

    child = fork(life)
    child.wait_blocked("semtimedop")
    child.signal(SIGUSR1)
    assert child.result() == (3600, 123)


@clause("semctl.setval-wakes", "semctl(2)", "SETVAL")
def test_setval_wakes_waiting_processes(sysv_sem, waiting):
    """SETVAL wakes processes in semop() that can proceed with the new value, whether they wait for an increase or
    for zero.
    """
    semaphores = sysv_sem(2, values=[0, 5])
    taker, waiter = waiting(semaphores, (0, -2)), waiting(semaphores, (1, 0))
    semaphores.set_value(3, 0)
    assert taker.result() == 0
    semaphores.set_value(0, 1)
    assert waiter.result() == 0
    assert semaphores.values == [1, 0]


@clause("semctl.setall-wakes", "semctl(2)", "SETALL")
def test_setall_wakes_waiting_processes(sysv_sem, waiting):
    """SETALL wakes processes in semop() that can proceed with the new values; the others continue to wait."""
    semaphores = sysv_sem(3, values=[0, 5, 0])
    taker, waiter, other = (waiting(semaphores, operation) for operation in ((0, -2), (1, 0), (2, -2)))
    semaphores.values = [2, 0, 1]
    assert (taker.result(), waiter.result()) == (0, 0)
    other.wait_blocked("semop")
    assert semaphores.values == [0, 0, 1]
    semaphores.release(2)
    assert other.result() == 0


@clause("sem.killed-waiter-takes-nothing", "semop(2)", "DESCRIPTION")
def test_killed_waiter_performs_nothing(sysv_sem, waiting):
    """A process that is killed while it waits in semop() has performed no operation, and performs none later."""
    semaphores = sysv_sem(2, values=[1, 0])
    child = waiting(semaphores, (0, -1), (1, -1))
    child.signal(SIGKILL)
    assert child.wait() == -signal.SIGKILL
    semaphores.release(1)
    assert semaphores.values == [1, 1]
    assert semaphores.last_pid(1) == os.getpid()
