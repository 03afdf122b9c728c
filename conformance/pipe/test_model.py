"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from signal import SIGPIPE

from pytest_ipc import clause


@clause("pipe.model", "pipe(7)", "DESCRIPTION")
def test_the_model(agree, machines, signals):
    """A pipe gives its bytes, its end of file and its errors as a model in plain Python does, whatever its ends do in what order."""
    signals.ignore(SIGPIPE)
    agree(machines.Pipes)
