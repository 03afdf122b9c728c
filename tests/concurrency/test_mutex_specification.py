"""What the specification of a robust mutex allows after a waiter was killed, and what not."""

from __future__ import annotations

import pytest

from conformance.concurrency.history import Fate, History
from conformance.concurrency.linearizability import Answer, check
from conformance.sync.pthread_concurrent import Mutex

from .specs import op


@pytest.mark.parametrize(
    ("killed", "answer"), [("lock", Answer.LINEARIZABLE), ("unlock", Answer.NOT_LINEARIZABLE)], ids=["waiter", "other"]
)
def test_waiters_may_be_forgotten_only_if_one_of_them_is_killed(killed, answer):
    """B unlocks, which wakes C; B locks again before C runs, C is killed, and B's unlock knows of no waiter."""
    history = History(
        (
            op("B", 0, 1, "lock", 1),
            op("C", 2, 20, killed, 2, result=None, fate=Fate.KILLED),
            op("A", 3, None, "lock", 0),
            op("B", 4, 5, "unlock", 1),
            op("B", 6, 7, "lock", 1),
            op("C", 8, 20, "ends", result=None, fate=Fate.ENDED),
            op("B", 21, 22, "unlock", 1),
        ),
        quiet=((30, frozenset({2})),),
    )
    assert check(history, Mutex().specification(0, history)) is answer
