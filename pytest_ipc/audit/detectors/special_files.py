"""FIFOs and sockets that a test has left in the temporary or the current directory (fifo(7), unix(7))."""

from __future__ import annotations

import stat
from collections.abc import Callable, Hashable

from ...custody.private_folder import temp_folder
from ...unpatched import os
from ..directory_time import shows_changes
from ..leak import Detector, Snapshot
from ..origin import Origin
from ..owned import Owned

__all__ = ["DETECTORS"]


class SpecialFiles(Detector):
    """Each FIFO and socket directly in the temporary directory, or where pytest was started, by path and inode number.

    A directory is listed again only if its modification time has changed.
    """

    kind = "files"

    def __init__(self) -> None:
        self._folders = {temp_folder(), os.getcwd()}
        self._listed: dict[str, tuple[int, dict[Hashable, int]]] = {}

    def snapshot(self) -> Snapshot:
        """Return the type of each."""
        found: dict[Hashable, int] = {}
        for folder in self._folders:
            changed = os.stat(folder).st_mtime_ns
            if folder not in self._listed or self._listed[folder][0] != changed:
                self._listed[folder] = (changed if shows_changes(changed) else -1, _special(folder))
            found.update(self._listed[folder][1])
        return found

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture owns it."""
        return _path(key) in owned.names

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return type and path."""
        return f"{'FIFO' if stat.S_ISFIFO(after[key]) else 'socket'} {_path(key)}"

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str | None:
        """Return "": the kernel does not record who created a file. None for another user's."""
        status = os.stat(_path(key), follow_symlinks=False)
        return "" if status.st_uid == os.geteuid() else None

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the command that removes it."""
        return f"`rm {_path(key)}` removes it"


def _path(key: Hashable) -> str:
    assert isinstance(key, tuple)
    return str(key[0])


def _special(folder: str) -> dict[Hashable, int]:
    found: dict[Hashable, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                status = os.stat(entry.path, follow_symlinks=False)
                if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
                    found[(entry.path, status.st_ino)] = status.st_mode
    return found


DETECTORS: dict[str, Callable[[], Detector]] = {"files": SpecialFiles}
