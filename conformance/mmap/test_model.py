"""Clauses: the machines of model.py, beside the kernel."""

from __future__ import annotations

from pytest_ipc import clause


@clause("mmap.model", "mmap(2)", "DESCRIPTION")
def test_the_model(agree, machines, two_peers):
    """A file's bytes are seen through shared and private mappings as a model in plain Python says, whoever changes them how."""
    agree(lambda: machines.Files(*two_peers))
