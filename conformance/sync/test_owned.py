"""futex(2), get_robust_list(2): locks with an owner, with priority inheritance or on a robust list."""

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
    """Return the function of a child that takes a lock and keeps it."""

    def life() -> None:
        lock(address)
        pause()

    return life


HEAD_BYTES = 3 * sizeof(c_long)


class Head(Structure):
    """struct robust_list_head, followed by one entry of the list."""

    _fields_ = [("next", c_void_p), ("offset", c_long), ("pending", c_void_p), ("entry", c_void_p)]


def owned_by_me(word: int) -> Head:
    """Set a robust list that names the lock at *word* for this thread, which ends soon. Keep the returned list alive
    until then."""
    head = Head()
    entry = addressof(head) + HEAD_BYTES
    head.next, head.entry, head.offset = entry, addressof(head), word - entry
    set_robust_list(addressof(head))
    return head


@clause("futex.lock_pi-takes-free", "FUTEX_LOCK_PI(2const)", "DESCRIPTION")
@pytest.mark.parametrize("lock", [futex_lock_pi, futex_trylock_pi], ids=["lock", "trylock"])
def test_lock_pi_takes_free_lock(futex, fork, lock):
    """FUTEX_LOCK_PI and FUTEX_TRYLOCK_PI of a word that is 0 store the caller's thread ID in it; FUTEX_UNLOCK_PI
    sets it to 0.
    """
    word = futex()

    def life():
        lock(word.address)
        held = word.value
        futex_unlock_pi(word.address)
        return held, word.value

    child = fork(life)
    assert child.result() == (child.pid, 0)


@clause("futex.lock_pi-hands-over", "FUTEX_UNLOCK_PI(2const)", "DESCRIPTION")
def test_unlock_pi_hands_lock_to_waiter(futex, fork, pipe):
    """A thread that waits in FUTEX_LOCK_PI sets FUTEX_WAITERS in the word, and FUTEX_UNLOCK_PI makes it the owner."""
    word, go = futex(), pipe()

    def hold() -> None:
        futex_lock_pi(word.address)
        go.read(1, timeout=None)
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
def test_lock_pi_by_owner_fails(futex, fork):
    """FUTEX_LOCK_PI and FUTEX_TRYLOCK_PI fail with EDEADLK if the caller already owns the lock, which it keeps."""
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
def test_unlock_pi_by_other_fails(futex, fork):
    """FUTEX_UNLOCK_PI fails with EPERM if the caller does not own the lock."""
    word = futex()
    owner = fork(holding(futex_lock_pi, word.address))
    owner.wait_blocked("pause")
    with fails_with(EPERM):
        futex_unlock_pi(word.address)
    assert word.value == owner.pid


@clause("futex.lock_pi-esrch", "futex(2)", "ERRORS", errno=ESRCH)
def test_lock_pi_of_nonexistent_owner_fails(futex, fork):
    """FUTEX_LOCK_PI fails with ESRCH if the thread ID in the word does not exist."""
    word = futex(NOBODY - 1)

    def life() -> None:
        with fails_with(ESRCH):
            futex_lock_pi(word.address)

    fork(life).result()


@clause("futex.lock_pi-etimedout", "futex(2)", "ERRORS", errno=ETIMEDOUT)
def test_lock_pi_fails_after_timeout(futex, fork):
    """FUTEX_LOCK_PI fails with ETIMEDOUT at the given time of CLOCK_REALTIME, and does not change the owner."""
    word = futex()
    owner = fork(holding(futex_lock_pi, word.address))
    owner.wait_blocked("pause")
    with fails_with(ETIMEDOUT):
        futex_lock_pi(word.address, Timespec(1))
    assert word.value & FUTEX_TID_MASK == owner.pid


@clause("robust.told-and-asked", "get_robust_list(2)", "DESCRIPTION")
def test_get_robust_list_returns_list_set(fork):
    """get_robust_list() returns the head and length that set_robust_list() has set for the calling thread."""

    def life():
        head = Head()
        set_robust_list(addressof(head))
        found = get_robust_list()
        set_robust_list(0)
        return found == (addressof(head), HEAD_BYTES), get_robust_list()[0]

    assert fork(life).result() == (True, 0)


@clause("robust.other-size-einval", "get_robust_list(2)", "ERRORS", errno=EINVAL)
def test_set_robust_list_of_other_size_fails(fork):
    """set_robust_list() fails with EINVAL if the length is not that of struct robust_list_head, and does not change
    the list.
    """

    def life() -> bool:
        head, before = Head(), get_robust_list()
        for size in (0, HEAD_BYTES - 1, HEAD_BYTES + 1):
            with fails_with(EINVAL):
                set_robust_list(addressof(head), size)
        return get_robust_list() == before

    assert fork(life).result()


@clause("robust.no-thread-esrch", "get_robust_list(2)", "ERRORS", errno=ESRCH)
def test_get_robust_list_of_nonexistent_thread_fails():
    """get_robust_list() fails with ESRCH for a thread that does not exist."""
    with fails_with(ESRCH):
        get_robust_list(NOBODY)


@clause("robust.owner-died", "get_robust_list(2)", "DESCRIPTION")
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_owner_died_is_set_in_words_of_dead_thread(futex, fork, end):
    """When a thread ends, by exit or by a signal, every word on its robust list with its thread ID becomes
    FUTEX_OWNER_DIED.
    """
    word = futex()

    def life() -> None:
        kept = owned_by_me(word.address)
        word.value = os.getpid()
        if end == "kill":
            os.kill(os.getpid(), SIGKILL)
        os._exit(kept is None)

    get_robust_list()  # the clause is absent without robust lists
    fork(life).wait()
    assert word.value == FUTEX_OWNER_DIED


@clause("robust.wakes-a-waiter", "get_robust_list(2)", "DESCRIPTION")
def test_owner_death_wakes_one_waiter(futex, fork, pipe):
    """When a thread ends whose word on the robust list has FUTEX_WAITERS set, one waiter of the word is woken."""
    word, go = futex(), pipe()

    def life() -> None:
        kept = owned_by_me(word.address)
        word.value = os.getpid() | FUTEX_WAITERS
        go.read(1, timeout=None)
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
def test_words_of_other_threads_are_unchanged(futex, fork):
    """When a thread ends, a word on its robust list with another thread ID does not change."""
    word = futex(1)

    def life() -> None:
        kept = owned_by_me(word.address)
        os._exit(kept is None)

    get_robust_list()  # the clause is absent without robust lists
    fork(life).wait()
    assert word.value == 1
