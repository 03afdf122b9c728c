"""semop(2): waiting for a semaphore, and everything that ends it."""

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
def test_taking_waits_until_there_is_enough(sysv_sem, waiting):
    """A negative operation waits until the value covers it, not less, and then takes it."""
    semaphores = sysv_sem()
    taker = waiting(semaphores, (0, -2))
    semaphores.release()
    taker.wait_blocked("semop")
    assert semaphores.values == [1]
    semaphores.op((0, 2))
    assert taker.result() == 0
    assert semaphores.values == [1]


@clause("semop.zero-blocks-until-zero", "semop(2)", "DESCRIPTION")
def test_waiting_for_zero_ends_with_zero(sysv_sem, waiting):
    """An operation of 0 waits until the value is 0, not less, and leaves it so."""
    semaphores = sysv_sem(values=[2])
    waiter = waiting(semaphores, (0, 0))
    semaphores.acquire()
    waiter.wait_blocked("semop")
    semaphores.acquire()
    assert waiter.result() == 0
    assert semaphores.values == [0]


@clause("semop.waits-as-a-whole", "semop(2)", "DESCRIPTION")
def test_an_array_waits_as_a_whole(sysv_sem, waiting):
    """An array of which one operation has to wait does nothing until all can be done, and then does all at once."""
    semaphores = sysv_sem(2, values=[1, 0])
    taker = waiting(semaphores, (0, -1), (1, -1))
    assert semaphores.values == [1, 0]
    semaphores.release(1)
    assert taker.result() == 0
    assert semaphores.values == [0, 0]


@clause("semop.best-fit-not-fifo", "semop(2)", "DESCRIPTION")
def test_who_can_go_on_does(sysv_sem, waiting):
    """Whom the value suffices goes on, though somebody who wants more has waited longer."""
    semaphores = sysv_sem()
    large, small = waiting(semaphores, (0, -3)), waiting(semaphores, (0, -1))
    semaphores.release()
    assert small.result() == 0
    large.wait_blocked("semop")
    semaphores.op((0, 3))
    assert large.result() == 0


@clause("semop.one-increment-one-waiter", "semop(2)", "DESCRIPTION")
def test_an_increment_lets_one_of_several_equal_waiters_go_on(sysv_sem, waiting):
    """Of several processes that wait to take the same amount, an increment by it lets one go on, and the others wait on."""
    semaphores = sysv_sem()
    waiters = [waiting(semaphores, (0, -1)) for _ in range(3)]
    while waiters:
        semaphores.release()
        assert first_to_end(waiters).result() == 0
        for actor in waiters:
            actor.wait_blocked("semop")


@clause("semop.eidrm", "semop(2)", "ERRORS", errno=EIDRM)
def test_removal_ends_the_waiting(sysv_sem, waiting):
    """When the set is removed, whoever waits for more and whoever waits for 0 is told so."""
    semaphores = sysv_sem(2, values=[0, 1])
    taker, waiter = waiting(semaphores, (0, -1)), waiting(semaphores, (1, 0))
    semaphores.remove()
    assert (taker.result(), waiter.result()) == (EIDRM, EIDRM)


@clause("semop.eidrm-all-waiters", "semctl(2)", "IPC_RMID", errno=EIDRM)
def test_removal_wakes_all(sysv_sem, waiting):
    """Removing the set wakes everybody at once, on whatever semaphores of it and with however many operations he waits."""
    semaphores = sysv_sem(3, values=[0, 1, 0])
    arrays = [((0, -1),), ((0, -5),), ((1, 0),), ((1, -1), (2, -1)), ((2, -1),)]
    actors = [waiting(semaphores, *array) for array in arrays]
    semaphores.remove()
    assert [actor.result() for actor in actors] == [EIDRM] * 5


@clause("semop.eintr", "semop(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_the_waiting(sysv_sem, fork, signals):
    """A caught signal ends the waiting, for more and for 0, and nothing has been done."""
    for value, operation in ((0, (0, -1)), (1, (0, 0))):
        semaphores = sysv_sem(values=[value])
        actor = fork(_caught_while_waiting, semaphores, signals, operation, 0)
        actor.wait_blocked("semop")
        actor.signal(SIGUSR1)
        assert actor.result() == 1
        assert semaphores.values == [value]


@clause("semop.eintr-despite-sa_restart", "semop(2)", "NOTES", errno=EINTR)
def test_restart_does_not_restart_it(sysv_sem, fork, signals):
    """The waiting ends with the signal also where its handler was installed with SA_RESTART."""
    semaphores = sysv_sem()
    actor = fork(_caught_while_waiting, semaphores, signals, (0, -1), SA_RESTART)
    actor.wait_blocked("semop")
    actor.signal(SIGUSR1)
    assert actor.result() == 1


def _caught_while_waiting(semaphores, signals, operation, flags) -> int:
    caught = signals.catch(SIGUSR1, flags=flags)
    with fails_with(EINTR):
        semop(semaphores.id, [operation])
    count: int = caught.count
    return count


@clause("semop.stop-cont-eintr", "signal(7)", "Interruption of system calls and library functions by stop signals")
def test_being_stopped_ends_the_waiting(sysv_sem, waiting):
    """On Linux a process that is stopped while it waits, and continued, is told of an interruption, though it has no handler."""
    semaphores = sysv_sem()
    actor = waiting(semaphores, (0, -1))
    actor.signal(SIGSTOP)
    actor.wait_state("T")
    actor.signal(SIGCONT)
    assert actor.result() == EINTR


@clause("semop.ignored-signal-waits-on", "semop(2)", "DESCRIPTION")
def test_an_ignored_signal_ends_nothing(sysv_sem, fork, signals):
    """A signal that is ignored does not end the waiting."""
    semaphores = sysv_sem()

    def life() -> None:
        signals.ignore(SIGUSR1)
        semop(semaphores.id, [(0, -1)])

    actor = fork(life)
    actor.wait_blocked("semop")
    actor.signal(SIGUSR1)
    actor.wait_blocked("semop")
    semaphores.release()
    assert actor.result() is None


@clause("semop.semncnt-count", "semop(2)", "DESCRIPTION")
def test_who_waits_for_more_is_counted(sysv_sem, waiting):
    """GETNCNT tells how many wait for a semaphore to have more; who has gone on is not among them."""
    semaphores = sysv_sem(2)
    assert semaphores.waiters(0) == 0
    actors = [waiting(semaphores, (0, -1)) for _ in range(3)]
    assert [semaphores.waiters(0), semaphores.waiters(1), semaphores.zero_waiters(0)] == [3, 0, 0]
    semaphores.release()
    assert first_to_end([*actors]).result() == 0
    assert semaphores.waiters(0) == 2
    semaphores.op((0, 2))
    assert [actor.result() for actor in actors] == [0, 0, 0]
    assert semaphores.waiters(0) == 0


@clause("semop.semzcnt-count", "semop(2)", "DESCRIPTION")
def test_who_waits_for_zero_is_counted(sysv_sem, waiting):
    """GETZCNT tells how many wait for a semaphore to be 0; when it is, nobody is left."""
    semaphores = sysv_sem(2, values=[1, 1])
    assert semaphores.zero_waiters(1) == 0
    actors = [waiting(semaphores, (1, 0)) for _ in range(3)]
    assert [semaphores.zero_waiters(1), semaphores.zero_waiters(0), semaphores.waiters(1)] == [3, 0, 0]
    semaphores.acquire(1)
    assert [actor.result() for actor in actors] == [0, 0, 0]
    assert semaphores.zero_waiters(1) == 0


@clause("semop.counts-drop-on-signal", "semop(2)", "DESCRIPTION")
def test_who_was_interrupted_is_not_counted(sysv_sem, waiting, fork, signals):
    """Who was interrupted or killed while he waited is no longer counted."""
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
def test_no_time_limit_is_none(sysv_sem, fork):
    """Without a time limit semtimedop does as semop: at once where it can, else it waits until it can."""
    semaphores = sysv_sem(values=[1])
    semtimedop(semaphores.id, [(0, -1)], None)
    actor = fork(semtimedop, semaphores.id, [(0, -1)], None)
    actor.wait_blocked("semtimedop")
    semaphores.release()
    actor.result()
    assert semaphores.values == [0]


@clause("semtimedop.timeout-eagain", "semop(2)", "semtimedop()", errno=EAGAIN)
def test_the_time_is_over(sysv_sem):
    """When the time is over semtimedop fails, and none of its operations is done; also with a time of 0."""
    semaphores = sysv_sem(2, values=[1, 1])
    for array in ([(0, -1), (1, -2)], [(0, 1), (1, 0)]):
        for timeout in (0, 0.01):
            with fails_with(EAGAIN):
                semtimedop(semaphores.id, array, timeout)
    assert semaphores.values == [1, 1]
    assert (semaphores.waiters(1), semaphores.zero_waiters(1)) == (0, 0)


@clause("semtimedop.in-time", "semop(2)", "semtimedop()")
def test_in_time(sysv_sem, fork):
    """What can be done within the time is done, and semtimedop succeeds."""
    semaphores = sysv_sem()
    actor = fork(semtimedop, semaphores.id, [(0, -1)], 3600)
    actor.wait_blocked("semtimedop")
    semaphores.release()
    actor.result()
    assert semaphores.values == [0]


@clause("semtimedop.elapsed-lower-bound", "semop(2)", "semtimedop()")
def test_not_before_the_time(sysv_sem):
    """semtimedop does not give up before the time is over."""
    semaphores = sysv_sem()
    begun = time.monotonic()
    with fails_with(EAGAIN):
        semtimedop(semaphores.id, [(0, -1)], 0.05)
    assert time.monotonic() - begun >= 0.05


@clause("semtimedop.timeout-unchanged", "semop(2)", "semtimedop()")
def test_the_time_limit_is_left_as_it_is(sysv_sem, fork, signals):
    """When a signal ends the waiting, the time limit in the caller's memory is what it was."""
    semaphores = sysv_sem()

    def life() -> tuple[int, int]:
        signals.catch(SIGUSR1)
        limit = timespec(3600, 123)
        with fails_with(EINTR):
            semtimedop(semaphores.id, [(0, -1)], c_void_p(addressof(limit)))
        return limit.tv_sec, limit.tv_nsec

    actor = fork(life)
    actor.wait_blocked("semtimedop")
    actor.signal(SIGUSR1)
    assert actor.result() == (3600, 123)


@clause("semctl.setval-wakes", "semctl(2)", "SETVAL")
def test_a_value_that_is_set_wakes(sysv_sem, waiting):
    """Whoever can go on with the value that SETVAL has set goes on, whether he waited for more or for 0."""
    semaphores = sysv_sem(2, values=[0, 5])
    taker, waiter = waiting(semaphores, (0, -2)), waiting(semaphores, (1, 0))
    semaphores.set_value(3, 0)
    assert taker.result() == 0
    semaphores.set_value(0, 1)
    assert waiter.result() == 0
    assert semaphores.values == [1, 0]


@clause("semctl.setall-wakes", "semctl(2)", "SETALL")
def test_values_that_are_set_wake(sysv_sem, waiting):
    """Whoever can go on with the values that SETALL has set goes on; who cannot, waits on."""
    semaphores = sysv_sem(3, values=[0, 5, 0])
    taker, waiter, other = (waiting(semaphores, operation) for operation in ((0, -2), (1, 0), (2, -2)))
    semaphores.values = [2, 0, 1]
    assert (taker.result(), waiter.result()) == (0, 0)
    other.wait_blocked("semop")
    assert semaphores.values == [0, 0, 1]
    semaphores.release(2)
    assert other.result() == 0


@clause("sem.killed-waiter-takes-nothing", "semop(2)", "DESCRIPTION")
def test_who_is_killed_while_waiting_takes_nothing(sysv_sem, waiting):
    """Who is killed while he waits has taken nothing, and takes nothing later."""
    semaphores = sysv_sem(2, values=[1, 0])
    actor = waiting(semaphores, (0, -1), (1, -1))
    actor.signal(SIGKILL)
    assert actor.wait() == -signal.SIGKILL
    semaphores.release(1)
    assert semaphores.values == [1, 1]
    assert semaphores.last_pid(1) == os.getpid()
