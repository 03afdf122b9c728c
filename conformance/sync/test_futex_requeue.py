"""futex(2): waiters that are sent to another word, and a wake that changes a word on the way."""

from __future__ import annotations

from errno import EAGAIN

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import (
    FUTEX_OP_ADD,
    FUTEX_OP_ANDN,
    FUTEX_OP_CMP_EQ,
    FUTEX_OP_CMP_GT,
    FUTEX_OP_CMP_LT,
    FUTEX_OP_CMP_NE,
    FUTEX_OP_OPARG_SHIFT,
    FUTEX_OP_OR,
    FUTEX_OP_SET,
    FUTEX_OP_XOR,
    futex_cmp_requeue,
    futex_requeue,
    futex_wait,
    futex_wake,
    futex_wake_op,
)


@pytest.fixture
def waiters(fork):
    """Children that wait on a word: waiters(word, count)."""

    def start(word, count):
        actors = [fork(futex_wait, word.address, word.value) for _ in range(count)]
        for actor in actors:
            actor.wait_blocked("futex")
        return actors

    return start


def operation(op: int, oparg: int, cmp: int, cmparg: int) -> int:
    """FUTEX_OP: what FUTEX_WAKE_OP does to the second word, and when it wakes who waits there."""
    return op << 28 | cmp << 24 | oparg << 12 | cmparg


@clause("futex.requeue-moves-waiters", "FUTEX_REQUEUE(2const)", "DESCRIPTION")
def test_waiters_are_sent_to_another_word(futex, waiters):
    """FUTEX_REQUEUE wakes at most so many waiters and sends at most so many others to another word, where they wait."""
    first, second = futex(1), futex(2)
    waiters(first, 5)
    futex_requeue(first.address, 1, 3, second.address)
    assert futex_wake(second.address, 9) == 3
    assert futex_wake(first.address, 9) == 1


@clause("futex.requeue-counts-woken", "FUTEX_REQUEUE(2const)", "RETURN VALUE", disputed="those sent on are counted too")
def test_those_woken_are_counted(futex, waiters):
    """FUTEX_REQUEUE is the number of those whom it woke, without those whom it sent to another word."""
    first, second = futex(1), futex(2)
    waiters(first, 3)
    counted = futex_requeue(first.address, 1, 2, second.address)
    if counted == 3:
        disputed("the number of those woken is returned, which is 1", "returns 3, with the two that were sent on")
    assert counted == 1


@clause("futex.requeue-wakes-without-moving", "FUTEX_REQUEUE(2const)", "DESCRIPTION")
def test_none_need_be_sent_on(futex, waiters):
    """Asked to move none, FUTEX_REQUEUE wakes like FUTEX_WAKE and leaves the rest where they wait."""
    first, second = futex(), futex()
    waiters(first, 3)
    assert futex_requeue(first.address, 2, 0, second.address) == 2
    assert (futex_wake(second.address, 9), futex_wake(first.address, 9)) == (0, 1)


@clause("futex.cmp_requeue-counts-both", "FUTEX_CMP_REQUEUE(2const)", "DESCRIPTION")
def test_those_woken_and_those_sent_on_are_counted(futex, waiters):
    """FUTEX_CMP_REQUEUE is the number of those woken and those sent on together."""
    first, second = futex(1), futex(2)
    waiters(first, 4)
    assert futex_cmp_requeue(first.address, 1, 2, second.address, 1) == 3
    assert (futex_wake(second.address, 9), futex_wake(first.address, 9)) == (2, 1)


@clause("futex.cmp_requeue-other-value-eagain", "futex(2)", "ERRORS", errno=EAGAIN)
def test_a_word_that_has_changed_is_not_moved_from(futex, waiters):
    """FUTEX_CMP_REQUEUE fails when the word is not what the caller expects, and wakes and moves nobody."""
    first, second = futex(1), futex(2)
    waiters(first, 2)
    with fails_with(EAGAIN):
        futex_cmp_requeue(first.address, 1, 1, second.address, 2)
    assert (futex_wake(second.address, 9), futex_wake(first.address, 9)) == (0, 2)


@clause("futex.requeued-is-woken-there", "FUTEX_CMP_REQUEUE(2const)", "DESCRIPTION")
def test_a_waiter_that_was_sent_on_is_woken_once(futex, waiters):
    """A waiter that was sent on sleeps until the other word is woken, and its wait then ends as any other."""
    first, second = futex(1), futex(2)
    (waiter,) = waiters(first, 1)
    assert futex_cmp_requeue(first.address, 0, 1, second.address, 1) == 1
    assert futex_wake(first.address) == 0
    waiter.wait_blocked("futex")
    assert futex_wake(second.address) == 1
    assert waiter.result() is None


@clause("futex.wake_op-changes-the-word", "FUTEX_WAKE_OP(2const)", "DESCRIPTION")
@pytest.mark.parametrize(
    ("op", "oparg", "after"),
    [
        (FUTEX_OP_SET, 9, 9),
        (FUTEX_OP_ADD, 9, 15),
        (FUTEX_OP_OR, 9, 15),
        (FUTEX_OP_ANDN, 4, 2),
        (FUTEX_OP_XOR, 3, 5),
        (FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 3, 8),
    ],
    ids=["set", "add", "or", "andn", "xor", "shift"],
)
def test_the_second_word_is_changed(futex, op, oparg, after):
    """FUTEX_WAKE_OP changes the second word as it is told, whoever waits, and leaves the first alone."""
    first, second = futex(1), futex(6)
    assert futex_wake_op(first.address, 9, second.address, 9, operation(op, oparg, FUTEX_OP_CMP_EQ, 0)) == 0
    assert (first.value, second.value) == (1, after)


@clause("futex.wake_op-wakes-by-old-value", "FUTEX_WAKE_OP(2const)", "DESCRIPTION")
@pytest.mark.parametrize(
    ("cmp", "cmparg", "woken"),
    [
        (FUTEX_OP_CMP_EQ, 6, True),
        (FUTEX_OP_CMP_EQ, 7, False),
        (FUTEX_OP_CMP_NE, 6, False),
        (FUTEX_OP_CMP_LT, 7, True),
        (FUTEX_OP_CMP_GT, 6, False),
    ],
)
def test_the_second_words_waiters_are_woken_by_its_old_value(futex, waiters, cmp, cmparg, woken):
    """FUTEX_WAKE_OP wakes waiters of the first word, and of the second if its value before the change compares as told."""
    first, second = futex(1), futex(6)
    waiters(first, 2)
    waiters(second, 2)
    change = operation(FUTEX_OP_SET, 7, cmp, cmparg)
    assert futex_wake_op(first.address, 1, second.address, 9, change) == 1 + 2 * woken
    assert futex_wake(first.address, 9) == 1
    assert futex_wake(second.address, 9) == 2 * (not woken)
