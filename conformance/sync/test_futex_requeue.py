"""futex(2): requeueing waiters to another word, and FUTEX_WAKE_OP."""

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
    """Start children that wait on a word: waiters(word, count)."""

    def start(word, count):
        children = [fork(futex_wait, word.address, word.value) for _ in range(count)]
        for child in children:
            child.wait_blocked("futex")
        return children

    return start


def operation(op: int, oparg: int, cmp: int, cmparg: int) -> int:
    """FUTEX_OP: the change of the second word by FUTEX_WAKE_OP, and the condition for waking its waiters."""
    return op << 28 | cmp << 24 | oparg << 12 | cmparg


@clause("futex.requeue-moves-waiters", "FUTEX_REQUEUE(2const)", "DESCRIPTION")
def test_requeue_moves_waiters(futex, waiters):
    """FUTEX_REQUEUE wakes at most val waiters and moves at most val2 others to the second word, where they wait."""
    first, second = futex(1), futex(2)
    waiters(first, 5)
    futex_requeue(first.address, 1, 3, second.address)
    assert futex_wake(second.address, 9) == 3
    assert futex_wake(first.address, 9) == 1


@clause("futex.requeue-counts-woken", "FUTEX_REQUEUE(2const)", "RETURN VALUE", disputed="moved waiters are counted")
def test_requeue_returns_number_of_woken(futex, waiters):
    """FUTEX_REQUEUE returns the number of waiters that it woke, without those that it moved."""
    first, second = futex(1), futex(2)
    waiters(first, 3)
    counted = futex_requeue(first.address, 1, 2, second.address)
    if counted == 3:
        disputed("the number of woken waiters is returned: 1", "returns 3: the two moved waiters are counted")
    assert counted == 1


@clause("futex.requeue-wakes-without-moving", "FUTEX_REQUEUE(2const)", "DESCRIPTION")
def test_requeue_of_none_wakes_only(futex, waiters):
    """FUTEX_REQUEUE with val2 0 wakes as FUTEX_WAKE does and moves no waiter."""
    first, second = futex(), futex()
    waiters(first, 3)
    assert futex_requeue(first.address, 2, 0, second.address) == 2
    assert (futex_wake(second.address, 9), futex_wake(first.address, 9)) == (0, 1)


@clause("futex.cmp_requeue-counts-both", "FUTEX_CMP_REQUEUE(2const)", "DESCRIPTION")
def test_cmp_requeue_returns_woken_and_moved(futex, waiters):
    """FUTEX_CMP_REQUEUE returns the total number of woken and moved waiters."""
    first, second = futex(1), futex(2)
    waiters(first, 4)
    assert futex_cmp_requeue(first.address, 1, 2, second.address, 1) == 3
    assert (futex_wake(second.address, 9), futex_wake(first.address, 9)) == (2, 1)


@clause("futex.cmp_requeue-other-value-eagain", "futex(2)", "ERRORS", errno=EAGAIN)
def test_cmp_requeue_with_other_value_fails(futex, waiters):
    """FUTEX_CMP_REQUEUE fails with EAGAIN if the word does not have the expected value, and wakes and moves no
    waiter.
    """
    first, second = futex(1), futex(2)
    waiters(first, 2)
    with fails_with(EAGAIN):
        futex_cmp_requeue(first.address, 1, 1, second.address, 2)
    assert (futex_wake(second.address, 9), futex_wake(first.address, 9)) == (0, 2)


@clause("futex.requeued-is-woken-there", "FUTEX_CMP_REQUEUE(2const)", "DESCRIPTION")
def test_requeued_waiter_is_woken_at_second_word(futex, waiters):
    """A requeued waiter sleeps until FUTEX_WAKE at the second word wakes it; its FUTEX_WAIT then returns 0."""
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
def test_wake_op_changes_second_word(futex, op, oparg, after):
    """FUTEX_WAKE_OP performs the given operation on the second word, even without waiters, and does not change the
    first.
    """
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
def test_wake_op_wakes_by_old_value(futex, waiters, cmp, cmparg, woken):
    """FUTEX_WAKE_OP wakes waiters of the first word, and of the second if its old value satisfies the given
    comparison.
    """
    first, second = futex(1), futex(6)
    waiters(first, 2)
    waiters(second, 2)
    change = operation(FUTEX_OP_SET, 7, cmp, cmparg)
    assert futex_wake_op(first.address, 1, second.address, 9, change) == 1 + 2 * woken
    assert futex_wake(first.address, 9) == 1
    assert futex_wake(second.address, 9) == 2 * (not woken)
