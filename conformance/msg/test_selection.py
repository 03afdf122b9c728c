"""msgop(2): which message is received, by the sign of the type that is asked for."""

from __future__ import annotations

from ctypes import c_long, sizeof
from errno import ENOMSG

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MSG_EXCEPT

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("room_for_messages")


LONG_MAX = 2 ** (8 * sizeof(c_long) - 1) - 1


@clause("msgrcv.type0-fifo", "msgop(2)", "msgrcv()")
def test_type_0_takes_the_oldest(holding):
    """With the type 0 messages come in the order in which they were sent, whatever their types."""
    sent = [(5, b"one"), (1, b"two"), (9, b"three"), (1, b"four")]
    queue = holding(*sent)
    assert [take(queue) for _ in sent] == sent


@clause("msgrcv.type-positive", "msgop(2)", "msgrcv()")
def test_a_positive_type_takes_the_oldest_of_that_type(holding):
    """With a type above 0 the oldest message of just that type comes, and the others keep their order."""
    queue = holding((5, b"one"), (1, b"two"), (5, b"three"), (1, b"four"))
    assert [take(queue, 1), take(queue, 1)] == [(1, b"two"), (1, b"four")]
    with fails_with(ENOMSG):
        take(queue, 1)
    assert contents(queue) == [(5, b"one"), (5, b"three")]


@clause("msgrcv.type-negative-lowest", "msgop(2)", "msgrcv()")
def test_a_negative_type_takes_the_lowest(holding):
    """With a type below 0 the message of the lowest type comes first, and among those of one type the oldest."""
    queue = holding((3, b"a"), (2, b"b"), (5, b"c"), (1, b"d"), (2, b"e"), (1, b"f"))
    assert [take(queue, -4) for _ in range(5)] == [(1, b"d"), (1, b"f"), (2, b"b"), (2, b"e"), (3, b"a")]
    with fails_with(ENOMSG):
        take(queue, -4)
    assert contents(queue) == [(5, b"c")]


@clause("msgrcv.type-negative-bound-included", "msgop(2)", "msgrcv()")
def test_a_negative_type_includes_its_bound(holding):
    """With a type below 0 a message whose type is just its absolute value is taken."""
    queue = holding((2, b"text"))
    assert take(queue, -2) == (2, b"text")


@clause("msgrcv.type-negative-all-larger-enomsg", "msgop(2)", "ERRORS", errno=ENOMSG)
def test_a_negative_type_takes_nothing_above_its_bound(holding):
    """With a type below 0 no message comes when all have types above its absolute value."""
    queue = holding((3, b"text"), (LONG_MAX, b"more"))
    with fails_with(ENOMSG):
        take(queue, -2)
    assert contents(queue) == [(3, b"text"), (LONG_MAX, b"more")]


@clause("msgrcv.type-long_min", "msgop(2)", "msgrcv()")
def test_the_lowest_long_bounds_nothing(holding):
    """The type LONG_MIN, whose absolute value is no long, takes the lowest type of all, the greatest long too."""
    queue = holding((LONG_MAX, b"last"), (5, b"first"))
    assert [take(queue, -LONG_MAX - 1), take(queue, -LONG_MAX - 1)] == [(5, b"first"), (LONG_MAX, b"last")]


@clause("msgrcv.except", "msgop(2)", "MSG_EXCEPT")
def test_except_takes_the_oldest_of_any_other_type(holding):
    """With MSG_EXCEPT and a type above 0 the oldest message of any other type comes; those of that type stay."""
    queue = holding((1, b"a"), (5, b"b"), (1, b"c"), (2, b"d"))
    assert [take(queue, 1, MSG_EXCEPT), take(queue, 1, MSG_EXCEPT)] == [(5, b"b"), (2, b"d")]
    with fails_with(ENOMSG):
        take(queue, 1, MSG_EXCEPT)
    assert contents(queue) == [(1, b"a"), (1, b"c")]
