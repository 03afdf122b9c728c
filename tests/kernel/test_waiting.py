"""Deadlines: the condition is checked at least once, the wait ends in time, and None never passes."""

from __future__ import annotations

import math
import os

import pytest

from pytest_ipc.kernel import Deadline


def test_condition_is_checked_at_least_once():
    assert Deadline(0).until(lambda: True)
    assert not Deadline(0).until(lambda: False)


def test_condition_is_checked_until_it_is_true():
    answers = iter([False] * 20 + [True])
    assert Deadline(60).until(lambda: next(answers))


def test_deadline_has_passed_after_its_timeout():
    deadline = Deadline(0)
    assert (deadline.passed, deadline.left) == (True, 0.0)


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_deadline_of_none_never_passes(timeout):
    deadline = Deadline(timeout)
    assert (deadline.passed, deadline.left) == (False, math.inf)
    answers = iter([False] * 8 + [True])
    assert deadline.until(lambda: next(answers))


def test_wait_lasts_at_least_the_timeout():
    import time

    start = time.monotonic()
    assert not Deadline(0.05).until(lambda: False)
    assert time.monotonic() - start >= 0.05


def test_readable_descriptor_ends_the_pause(pipe):
    ends = pipe()
    os.write(ends.write_fd, b"x")
    rounds = 0
    for _ in Deadline(60).rounds(ends.read_fd):
        rounds += 1
        if rounds == 50:
            break
    assert rounds == 50
