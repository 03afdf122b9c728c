"""A base for workloads on files: each history has a new file, as workers of the previous one may still hold locks."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from pytest_ipc import Ipc

from .workload import Workload

__all__ = ["OnFile"]

BYTES = 8


class OnFile(Workload):
    """A workload whose object is the path of a file of BYTES bytes."""

    def __init__(self) -> None:
        self._folder = ""
        self._files = 0

    def make(self, ipc: Ipc) -> str:
        """Create the file."""
        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix="pytest-ipc-")
        self._files += 1
        path = os.path.join(self._folder, str(self._files))
        with open(path, "xb") as file:
            file.write(bytes(BYTES))
        return path

    def unmake(self, shared: str) -> None:
        """Unlink the file."""
        os.unlink(shared)

    def finish(self) -> None:
        """Remove the directory."""
        if self._folder:
            with suppress(OSError):
                os.rmdir(self._folder)
            self._folder = ""
