"""sem_post(3), sem_getvalue(3): incrementing, waking, and the value."""

from __future__ import annotations

from errno import EOVERFLOW
from signal import SIGKILL, SIGUSR1

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SEM_VALUE_MAX, Deadline, sem_getvalue, sem_post, sem_wait


@clause("sem_post.increments", "sem_post(3)", "DESCRIPTION")
def test_post_increments(posix_sem):
    """sem_post() increments the value by one."""
    semaphore = posix_sem(0)
    for value in (1, 2, 3):
        sem_post(semaphore.address)
        assert semaphore.value == value


@clause("sem_post.wakes-one", "sem_post(3)", "DESCRIPTION")
def test_post_wakes_one_waiter(posix_sem, fork):
    """sem_post() wakes exactly one of several blocked processes."""
    semaphore = posix_sem(0)
    waiting = [fork(sem_wait, semaphore.address) for _ in range(3)]
    for waiter in waiting:
        waiter.wait_blocked("futex")
    for count in (2, 1, 0):
        sem_post(semaphore.address)
        assert Deadline(5).until(lambda: sum(waiter.alive for waiter in waiting) <= count)  # noqa: B023 - this round's
        still = [waiter for waiter in waiting if waiter.alive]
        assert len(still) == count
        for waiter in still:
            waiter.wait_blocked("futex")
        assert semaphore.value == 0


@clause("sem_post.eoverflow", "sem_post(3)", "ERRORS", errno=EOVERFLOW)
def test_post_at_the_maximum_fails(posix_sem):
    """sem_post() at SEM_VALUE_MAX fails with EOVERFLOW and keeps the value; one below it succeeds."""
    semaphore = posix_sem(SEM_VALUE_MAX - 1)
    sem_post(semaphore.address)
    with fails_with(EOVERFLOW):
        sem_post(semaphore.address)
    assert semaphore.value == SEM_VALUE_MAX


@clause("sem_post.async-signal-safe", "sem_post(3)", "NOTES")
def test_post_in_a_signal_handler(posix_sem, fork, signals):
    """sem_post() in a signal handler wakes the sem_wait() that the handler interrupted."""
    semaphore = posix_sem(0)

    def child() -> None:
        signals.catch(SIGUSR1, lambda _signo, _frame: sem_post(semaphore.address))
        signals.unblock(SIGUSR1)
        semaphore.wait()

    waiter = fork(child)
    waiter.wait_blocked("futex")
    waiter.signal(SIGUSR1)
    waiter.result()
    assert semaphore.value == 0


@clause("sem_getvalue.zero-with-waiters", "sem_getvalue(3)", "DESCRIPTION")
def test_value_is_0_while_processes_wait(posix_sem, fork):
    """sem_getvalue() returns 0 while processes wait, not the negative of their number."""
    semaphore = posix_sem(0)
    for _ in range(2):
        fork(sem_wait, semaphore.address).wait_blocked("futex")
    assert sem_getvalue(semaphore.address) == 0


@clause("sem.no-recovery-on-death", "sem_overview(7)", "DESCRIPTION")
def test_value_is_not_restored_on_termination(posix_sem, fork, pipe):
    """The decrements of a process stay when it terminates or is killed."""
    semaphore, held = posix_sem(3), pipe()

    def take_and_wait() -> None:
        sem_wait(semaphore.address)
        held.write(b"!")
        never_posted.wait()

    never_posted = posix_sem(0)
    fork(sem_wait, semaphore.address).result()
    holder = fork(take_and_wait)
    held.read(1)
    holder.signal(SIGKILL)
    assert holder.wait() == -SIGKILL
    assert semaphore.value == 1
