"""What is in a ledger, as anybody else reads it."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_ipc.custody.ledger import Ledger
from pytest_ipc.custody.parse import ParsedLedger, read
from pytest_ipc.custody.state_dir import open_state_dir, state_dir_path


def text(own: Ledger) -> list[str]:
    """Return what is in it, as anybody else would read it."""
    return Path(state_dir_path(), own.name).read_text().splitlines()


def records(own: Ledger) -> list[str]:
    """Its lines but the first, and those that name a test."""
    return [line for line in text(own)[1:] if line[0] != "@"]


def parsed(own: Ledger) -> ParsedLedger:
    """Return what the sweep would make of it."""
    state_dir = open_state_dir(create=False)
    assert state_dir is not None
    try:
        found, fd = read(state_dir, own.name)
        os.close(fd)
        return found
    finally:
        os.close(state_dir)
