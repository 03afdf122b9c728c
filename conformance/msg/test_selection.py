"""msgop(2): the selection of a message by the sign of the requested type."""

from __future__ import annotations

from ctypes import c_long, sizeof
from errno import ENOMSG

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MSG_EXCEPT

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("message_limits")


LONG_MAX = 2 ** (8 * sizeof(c_long) - 1) - 1


@clause("msgrcv.type0-fifo", "msgop(2)", "msgrcv()")
def test_type_0_selects_the_oldest(holding):
    """msgrcv() with type 0 returns messages in the order of sending, whatever their types."""
    sent = [(5, b"one"), (1, b"two"), (9, b"three"), (1, b"four")]
    queue = holding(*sent)
    assert [take(queue) for _ in sent] == sent


@clause("msgrcv.type-positive", "msgop(2)", "msgrcv()")
def test_positive_type_selects_the_oldest_of_that_type(holding):
    """msgrcv() with a positive type returns the oldest message of that type, and the others keep their order."""
    queue = holding((5, b"one"), (1, b"two"), (5, b"three"), (1, b"four"))
    assert [take(queue, 1), take(queue, 1)] == [(1, b"two"), (1, b"four")]
    with fails_with(ENOMSG):
        take(queue, 1)
    assert contents(queue) == [(5, b"one"), (5, b"three")]


@clause("msgrcv.type-negative-lowest", "msgop(2)", "msgrcv()")
def test_negative_type_selects_the_lowest(holding):
    """msgrcv() with a negative type returns the oldest message of the lowest type up to its absolute value."""
    queue = holding((3, b"a"), (2, b"b"), (5, b"c"), (1, b"d"), (2, b"e"), (1, b"f"))
    assert [take(queue, -4) for _ in range(5)] == [(1, b"d"), (1, b"f"), (2, b"b"), (2, b"e"), (3, b"a")]
    with fails_with(ENOMSG):
        take(queue, -4)
    assert contents(queue) == [(5, b"c")]


@clause("msgrcv.type-negative-bound-included", "msgop(2)", "msgrcv()")
def test_negative_type_includes_its_bound(holding):
    """msgrcv() with a negative type returns a message whose type equals the absolute value."""
    queue = holding((2, b"text"))
    assert take(queue, -2) == (2, b"text")


@clause("msgrcv.type-negative-all-larger-enomsg", "msgop(2)", "ERRORS", errno=ENOMSG)
def test_negative_type_excludes_larger_types(holding):
    """msgrcv() with a negative type fails with ENOMSG if all messages have types above the absolute value."""
    queue = holding((3, b"text"), (LONG_MAX, b"more"))
    with fails_with(ENOMSG):
        take(queue, -2)
    assert contents(queue) == [(3, b"text"), (LONG_MAX, b"more")]


@clause("msgrcv.type-long_min", "msgop(2)", "msgrcv()")
def test_type_long_min_selects_any(holding):
    """msgrcv() with type LONG_MIN, whose absolute value is not a long, returns the lowest type, up to LONG_MAX."""
    queue = holding((LONG_MAX, b"last"), (5, b"first"))
    assert [take(queue, -LONG_MAX - 1), take(queue, -LONG_MAX - 1)] == [(5, b"first"), (LONG_MAX, b"last")]


@clause("msgrcv.except", "msgop(2)", "MSG_EXCEPT")
def test_except_selects_the_oldest_of_another_type(holding):
    """msgrcv() with MSG_EXCEPT and a positive type returns the
    oldest message of any other type; those of that type stay.
    """
    queue = holding((1, b"a"), (5, b"b"), (1, b"c"), (2, b"d"))
    assert [take(queue, 1, MSG_EXCEPT), take(queue, 1, MSG_EXCEPT)] == [(5, b"b"), (2, b"d")]
    with fails_with(ENOMSG):
        take(queue, 1, MSG_EXCEPT)
    assert contents(queue) == [(1, b"a"), (1, b"c")]
