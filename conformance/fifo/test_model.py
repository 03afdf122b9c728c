"""Clauses that compare the state machines of model.py with the kernel."""

from __future__ import annotations

from signal import SIGPIPE

from pytest_ipc import clause


@clause("fifo.model", "fifo(7)", "DESCRIPTION")
def test_the_model(agree, machines, signals, tmp_path):
    """open(), read(), write() and close() of a FIFO agree with a model in Python for random sequences of calls."""
    signals.ignore(SIGPIPE)
    agree(lambda: machines.Fifos(tmp_path / "fifo"))
