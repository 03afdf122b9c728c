"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

import pytest

from pytest_ipc import clause

pytestmark = pytest.mark.usefixtures("room_for_messages")


@clause("msg.model", "msgop(2)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """Messages come out of a queue by type, order and size as a model in plain Python says, whoever sends what in whatever order."""
    agree(lambda: machines.Queue(*two_peers))


@clause("msg.model-with-copies", "msgop(2)", "MSG_COPY")
def test_the_model_with_copies(agree, machines, two_peers):
    """The same holds when messages are copied in between, and a copy changes nothing."""
    agree(lambda: machines.Copies(*two_peers))
