"""Clauses that compare the state machines of model.py with the kernel."""

from __future__ import annotations

import pytest

from pytest_ipc import clause

pytestmark = pytest.mark.usefixtures("message_limits")


@clause("msg.model", "msgop(2)", "DESCRIPTION")
def test_the_model(agree, machines, two_workers):
    """msgsnd() and msgrcv() of two processes agree with a model in Python for random sequences of calls."""
    agree(lambda: machines.Queue(*two_workers))


@clause("msg.model-with-copies", "msgop(2)", "MSG_COPY")
def test_the_model_with_copies(agree, machines, two_workers):
    """msgsnd() and msgrcv() agree with the model also if messages are copied with MSG_COPY, which changes nothing."""
    agree(lambda: machines.Copies(*two_workers))
