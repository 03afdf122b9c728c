"""A workload on a file: a new one for each history, for workers of the one before may still hold something in theirs."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from pytest_ipc import Ipc

from .workload import Workload

__all__ = ["OnFile"]

BYTES = 8


class OnFile(Workload):
    """The object of a history is the path of a file of BYTES bytes."""

    def __init__(self) -> None:
        self._folder = ""
        self._files = 0

    def make(self, ipc: Ipc) -> str:
        """Make the file."""
        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix="pytest-ipc-")
        self._files += 1
        path = os.path.join(self._folder, str(self._files))
        with open(path, "xb") as file:
            file.write(bytes(BYTES))
        return path

    def unmake(self, shared: str) -> None:
        """Remove the file."""
        os.unlink(shared)

    def finish(self) -> None:
        """Remove the folder."""
        if self._folder:
            with suppress(OSError):
                os.rmdir(self._folder)
            self._folder = ""
