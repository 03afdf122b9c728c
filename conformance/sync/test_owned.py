"""futex(2), get_robust_list(2): locks that know their owner, with priority inheritance or on a robust list."""

from __future__ import annotations

import os
from collections.abc import Callable
from ctypes import Structure, addressof, c_long, c_void_p, sizeof
from errno import EDEADLK, EINVAL, EPERM, ESRCH, ETIMEDOUT
from signal import SIGKILL

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    FUTEX_OWNER_DIED,
    FUTEX_TID_MASK,
    FUTEX_WAITERS,
    Timespec,
    futex_lock_pi,
    futex_trylock_pi,
    futex_unlock_pi,
    futex_wait,
    futex_wake,
    get_robust_list,
    pause,
    set_robust_list,
)

from ..signal.plain_child import NOBODY


def holding(lock: Callable[[int], object], address: int) -> Callable[[], None]:
    """The life of a child that takes a lock and keeps it."""

    def life() -> None:
        lock(address)
        pause()

    return life


HEAD_BYTES = 3 * sizeof(c_long)


class Head(Structure):
    """struct robust_list_head, and behind it one entry of the list."""

    _fields_ = [("next", c_void_p), ("offset", c_long), ("pending", c_void_p), ("entry", c_void_p)]


def owned_by_me(word: int) -> Head:
    """Tell the kernel that this thread, which ends soon, holds the lock at *word*. The list, which must be kept until then."""
    head = Head()
    entry = addressof(head) + HEAD_BYTES
    head.next, head.entry, head.offset = entry, addressof(head), word - entry
    set_robust_list(addressof(head))
    return head


@clause("futex.lock_pi-takes-free", "FUTEX_LOCK_PI(2const)", "DESCRIPTION")
@pytest.mark.parametrize("lock", [futex_lock_pi, futex_trylock_pi], ids=["lock", "trylock"])
def test_a_free_lock_is_taken(futex, fork, lock):
    """A word that is 0 is a free lock: locking stores the thread's id in it, and unlocking makes it 0 again."""
    word = futex()

    def life():
        lock(word.address)
        held = word.value
        futex_unlock_pi(word.address)
        return held, word.value

    child = fork(life)
    assert child.result() == (child.pid, 0)


@clause("futex.lock_pi-hands-over", "FUTEX_UNLOCK_PI(2const)", "DESCRIPTION")
def test_a_lock_is_handed_to_the_waiter(futex, fork, pipe):
    """Who waits for a lock sets FUTEX_WAITERS in the word, and unlocking makes the waiter its owner."""
    word, go = futex(), pipe()

    def hold() -> None:
        futex_lock_pi(word.address)
        go.read(1)
        futex_unlock_pi(word.address)

    def wait():
        futex_lock_pi(word.address)
        return word.value & FUTEX_TID_MASK

    holder = fork(hold)
    holder.wait_blocked("read")
    waiter = fork(wait)
    waiter.wait_blocked("futex")
    assert word.value == holder.pid | FUTEX_WAITERS
    go.write(b"!")
    holder.result()
    assert waiter.result() == waiter.pid


@clause("futex.lock_pi-edeadlk", "futex(2)", "ERRORS", errno=EDEADLK)
def test_a_lock_is_not_taken_twice(futex, fork):
    """A thread that has the lock cannot lock it again, and still has it."""
    word = futex()

    def life():
        futex_lock_pi(word.address)
        with fails_with(EDEADLK):
            futex_lock_pi(word.address)
        with fails_with(EDEADLK):
            futex_trylock_pi(word.address)
        return word.value & FUTEX_TID_MASK == os.getpid()

    assert fork(life).result()


@clause("futex.unlock_pi-eperm", "futex(2)", "ERRORS", errno=EPERM)
def test_only_the_owner_unlocks(futex, fork):
    """Who does not have the lock cannot unlock it."""
    word = futex()
    owner = fork(holding(futex_lock_pi, word.address))
    owner.wait_blocked("pause")
    with fails_with(EPERM):
        futex_unlock_pi(word.address)
    assert word.value == owner.pid


@clause("futex.lock_pi-esrch", "futex(2)", "ERRORS", errno=ESRCH)
def test_the_owner_must_exist(futex, fork):
    """A lock whose word names a thread that does not exist cannot be locked."""
    word = futex(NOBODY - 1)

    def life() -> None:
        with fails_with(ESRCH):
            futex_lock_pi(word.address)

    fork(life).result()


@clause("futex.lock_pi-etimedout", "futex(2)", "ERRORS", errno=ETIMEDOUT)
def test_a_lock_is_waited_for_until_a_moment(futex, fork):
    """Waiting for a lock ends at the given time of CLOCK_REALTIME, and the lock is still its owner's."""
    word = futex()
    owner = fork(holding(futex_lock_pi, word.address))
    owner.wait_blocked("pause")
    with fails_with(ETIMEDOUT):
        futex_lock_pi(word.address, Timespec(1))
    assert word.value & FUTEX_TID_MASK == owner.pid


@clause("robust.told-and-asked", "get_robust_list(2)", "DESCRIPTION")
def test_the_list_is_the_one_that_was_set(fork):
    """A thread is told the list that it has set, and others are told it too; it has the size of its structure."""

    def life():
        head = Head()
        set_robust_list(addressof(head))
        told = get_robust_list()
        set_robust_list(0)
        return told == (addressof(head), HEAD_BYTES), get_robust_list()[0]

    assert fork(life).result() == (True, 0)


@clause("robust.other-size-einval", "get_robust_list(2)", "ERRORS", errno=EINVAL)
def test_another_size_is_refused(fork):
    """A list of another size than the structure's is refused, and the one before stands."""

    def life() -> bool:
        head, before = Head(), get_robust_list()
        for size in (0, HEAD_BYTES - 1, HEAD_BYTES + 1):
            with fails_with(EINVAL):
                set_robust_list(addressof(head), size)
        return get_robust_list() == before

    assert fork(life).result()


@clause("robust.no-thread-esrch", "get_robust_list(2)", "ERRORS", errno=ESRCH)
def test_no_such_thread_has_a_list():
    """The list of a thread that does not exist cannot be asked for."""
    with fails_with(ESRCH):
        get_robust_list(NOBODY)


@clause("robust.owner-died", "get_robust_list(2)", "DESCRIPTION")
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_the_kernel_marks_what_the_dead_held(futex, fork, end):
    """When a thread ends, by itself or by a signal, each word on its list that names it gets FUTEX_OWNER_DIED for its id."""
    word = futex()

    def life() -> None:
        kept = owned_by_me(word.address)
        word.value = os.getpid()
        if end == "kill":
            os.kill(os.getpid(), SIGKILL)
        os._exit(kept is None)

    get_robust_list()  # absent is what has no such lists
    fork(life).wait()
    assert word.value == FUTEX_OWNER_DIED


@clause("robust.wakes-a-waiter", "get_robust_list(2)", "DESCRIPTION")
def test_the_death_of_the_owner_wakes_a_waiter(futex, fork, pipe):
    """Where the word of a thread that ends has FUTEX_WAITERS, one of those who wait on it is woken."""
    word, go = futex(), pipe()

    def life() -> None:
        kept = owned_by_me(word.address)
        word.value = os.getpid() | FUTEX_WAITERS
        go.read(1)
        os._exit(kept is None)

    owner = fork(life)
    owner.wait_blocked("read")
    waiters = [fork(futex_wait, word.address, owner.pid | FUTEX_WAITERS) for _ in range(2)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    go.write(b"!")
    owner.wait()
    assert word.value == FUTEX_OWNER_DIED | FUTEX_WAITERS
    assert futex_wake(word.address, 9) == 1
    for waiter in waiters:
        waiter.result()


@clause("robust.others-words-untouched", "get_robust_list(2)", "DESCRIPTION")
def test_what_others_hold_is_left_alone(futex, fork):
    """A word on the list of a thread that ends stays what it is if it names another thread."""
    word = futex(1)

    def life() -> None:
        kept = owned_by_me(word.address)
        os._exit(kept is None)

    get_robust_list()  # absent is what has no such lists
    fork(life).wait()
    assert word.value == 1
