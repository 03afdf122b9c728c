"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from signal import SIGPIPE

from pytest_ipc import clause


@clause("fifo.model", "fifo(7)", "DESCRIPTION")
def test_the_model(agree, machines, signals, tmp_path):
    """A FIFO opens, reads, writes and closes as a model in plain Python does, whatever is done with it in whatever order."""
    signals.ignore(SIGPIPE)
    agree(lambda: machines.Fifos(tmp_path / "fifo"))
