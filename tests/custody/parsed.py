"""What is in a ledger, as anybody else reads it."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_ipc.custody.ledger import Ledger
from pytest_ipc.custody.parse import Book, read
from pytest_ipc.custody.state_dir import home_path, open_home


def text(own: Ledger) -> list[str]:
    """What is in it, as anybody else would read it."""
    return Path(home_path(), own.name).read_text().splitlines()


def records(own: Ledger) -> list[str]:
    """Its lines but the first, and those that name a test."""
    return [line for line in text(own)[1:] if line[0] != "@"]


def book(own: Ledger) -> Book:
    """What the sweep would make of it."""
    home = open_home(create=False)
    assert home is not None
    try:
        found, fd = read(home, own.name)
        os.close(fd)
        return found
    finally:
        os.close(home)
