"""sem_post(3), sem_getvalue(3): incrementing, who is woken by it, and what the value is."""

from __future__ import annotations

from errno import EOVERFLOW
from signal import SIGKILL, SIGUSR1

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SEM_VALUE_MAX, Deadline, sem_getvalue, sem_post, sem_wait


@clause("sem_post.increments", "sem_post(3)", "DESCRIPTION")
def test_a_post_increments(posix_sem):
    """Each post adds one to the value."""
    semaphore = posix_sem(0)
    for value in (1, 2, 3):
        sem_post(semaphore.address)
        assert semaphore.value == value


@clause("sem_post.wakes-one", "sem_post(3)", "DESCRIPTION")
def test_a_post_wakes_one_who_waits(posix_sem, fork):
    """Of several who wait, each post lets one go on; the others wait on."""
    semaphore = posix_sem(0)
    waiting = [fork(sem_wait, semaphore.address) for _ in range(3)]
    for waiter in waiting:
        waiter.wait_blocked("futex")
    for left in (2, 1, 0):
        sem_post(semaphore.address)
        assert Deadline(5).until(lambda: sum(waiter.alive for waiter in waiting) <= left)  # noqa: B023 - this round's
        still = [waiter for waiter in waiting if waiter.alive]
        assert len(still) == left
        for waiter in still:
            waiter.wait_blocked("futex")
        assert semaphore.value == 0


@clause("sem_post.eoverflow", "sem_post(3)", "ERRORS", errno=EOVERFLOW)
def test_the_greatest_value_cannot_be_passed(posix_sem):
    """A post at SEM_VALUE_MAX fails and leaves the value; one below it succeeds."""
    semaphore = posix_sem(SEM_VALUE_MAX - 1)
    sem_post(semaphore.address)
    with fails_with(EOVERFLOW):
        sem_post(semaphore.address)
    assert semaphore.value == SEM_VALUE_MAX


@clause("sem_post.async-signal-safe", "sem_post(3)", "NOTES")
def test_a_handler_may_post(posix_sem, fork, signals):
    """A handler may post: who is interrupted in waiting by a signal whose handler posts gets the semaphore."""
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
def test_the_value_is_0_whoever_waits(posix_sem, fork):
    """While processes wait, the value is 0 and not the negative of their number."""
    semaphore = posix_sem(0)
    for _ in range(2):
        fork(sem_wait, semaphore.address).wait_blocked("futex")
    assert sem_getvalue(semaphore.address) == 0


@clause("sem.no-recovery-on-death", "sem_overview(7)", "DESCRIPTION")
def test_the_dead_give_nothing_back(posix_sem, fork, pipe):
    """What a process has taken is not given back when the process dies, by whatever death."""
    semaphore, held = posix_sem(3), pipe()

    def take_and_wait() -> None:
        sem_wait(semaphore.address)
        held.write(b"!")
        semaphore_of_nobody.wait()

    semaphore_of_nobody = posix_sem(0)
    fork(sem_wait, semaphore.address).result()
    holder = fork(take_and_wait)
    held.read(1)
    holder.signal(SIGKILL)
    assert holder.wait() == -SIGKILL
    assert semaphore.value == 1
