"""A base for workloads on files: each history has a new file, as workers of the previous one may still hold locks."""

from __future__ import annotations

import os

from pytest_ipc import Ipc, OwnedFile

from .workload import Workload

__all__ = ["OnFile"]

BYTES = 8
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY


class OnFile(Workload):
    """A workload whose object is the path of a file of BYTES bytes."""

    def __init__(self) -> None:
        self._owned: OwnedFile | None = None
        self._files = 0

    def make(self, ipc: Ipc) -> str:
        """Create the file, in a private directory that is on record: it is removed with what is in it."""
        if self._owned is None:
            self._owned = OwnedFile.create("lock-file", "lock file", lambda path: os.close(os.open(path, _NEW, 0o600)))
        self._files += 1
        path = os.path.join(os.path.dirname(self._owned.path), str(self._files))
        with open(path, "xb") as file:
            file.write(bytes(BYTES))
        return path

    def unmake(self, shared: str) -> None:
        """Unlink the file."""
        os.unlink(shared)

    def finish(self) -> None:
        """Remove the directory."""
        if self._owned is not None:
            self._owned.close()
            self._owned = None
