"""Deadlines: at least one question, at most the time, and no time that never ends unless it is asked for."""

from __future__ import annotations

import math
import os

import pytest

from pytest_ipc.kernel import Deadline


def test_a_question_is_asked_at_least_once():
    assert Deadline(0).until(lambda: True)
    assert not Deadline(0).until(lambda: False)


def test_a_question_is_asked_until_the_answer_is_yes():
    answers = iter([False] * 20 + [True])
    assert Deadline(60).until(lambda: next(answers))


def test_a_deadline_that_has_passed_says_so():
    deadline = Deadline(0)
    assert (deadline.passed, deadline.left) == (True, 0.0)


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_never_does_not_pass(timeout):
    deadline = Deadline(timeout)
    assert (deadline.passed, deadline.left) == (False, math.inf)
    answers = iter([False] * 8 + [True])
    assert deadline.until(lambda: next(answers))


def test_it_waits_no_less_than_it_was_told():
    import time

    start = time.monotonic()
    assert not Deadline(0.05).until(lambda: False)
    assert time.monotonic() - start >= 0.05


def test_a_descriptor_that_has_something_wakes_the_question(pipe):
    ends = pipe()
    os.write(ends.write_fd, b"x")
    rounds = 0
    for _ in Deadline(60).rounds(ends.read_fd):
        rounds += 1
        if rounds == 50:
            break
    assert rounds == 50
