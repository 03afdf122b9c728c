"""Names of POSIX shared memory and semaphores in /dev/shm and of message queues in /dev/mqueue."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from errno import ENOENT
from functools import partial

from ...kernel.posix_mq import mq_unlink
from ...unpatched import os
from ..directory_time import shows_changes
from ..leak import Detector, Snapshot
from ..not_here import NotHere
from ..one_round import once
from ..origin import Origin, is_owned_elsewhere
from ..owned import Owned

__all__ = ["DETECTORS"]

_FOLDERS = {"posix-shm": "/dev/shm", "posix-sem": "/dev/shm", "posix-mq": "/dev/mqueue"}
_LABELS = {"posix-shm": "POSIX shared memory", "posix-sem": "POSIX semaphore", "posix-mq": "POSIX message queue"}


class PosixNames(Detector):
    """Each name of one type. The directory is listed again only if its modification time has changed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind  # type: ignore[misc]  # one class for the three kinds
        self.place: str = _FOLDERS[kind]
        self._folder = self.place
        self._listed: tuple[int, Snapshot] | None = None
        self._mounted = self._around = 0  # the devices of the file system of message queues, and of that around it

    def snapshot(self) -> Snapshot:
        """Return the names."""
        status = once(os.stat, self._folder)
        if self.kind == "posix-mq" and not self._is_mounted(status.st_dev):
            raise NotHere(
                ENOENT, f"the file system of message queues is not mounted: mount -t mqueue none {self._folder}"
            )
        changed = status.st_mtime_ns
        if self._listed is None or self._listed[0] != changed:
            names = os.listdir(self._folder)
            if self.kind != "posix-mq":
                semaphores = self.kind == "posix-sem"
                names = [name for name in names if name.startswith("sem.") is semaphores]
            # Otherwise a name may have been added since, at the same modification time.
            self._listed = (changed if shows_changes(changed) else -1, dict.fromkeys(names))
        return self._listed[1]

    def _is_mounted(self, device: int) -> bool:
        if device not in (self._mounted, self._around):
            self._around = os.stat(f"{self._folder}/..").st_dev
            if device != self._around:
                self._mounted = device
        return device == self._mounted

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture owns it."""
        return self._name(key) in owned.names

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the name, and the size of shared memory."""
        size = ""
        if self.kind == "posix-shm":
            size = f" ({os.stat(f'{self._folder}/{key}', follow_symlinks=False).st_size} bytes)"
        return f"{_LABELS[self.kind]} {self._name(key)}{size}"

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str | None:
        """Return which process of the test uses it or has used it; nobody records who created a name."""
        if self._folder in origin.isolated:
            return f"in the {self._folder} of this run"
        status = os.stat(f"{self._folder}/{key}", follow_symlinks=False)
        if (used := origin.used((status.st_dev, status.st_ino))) is not None:
            return used
        if status.st_uid != os.geteuid() or is_owned_elsewhere(self.kind, key):
            return None
        return ""

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the command that removes it."""
        return f"`rm {self._folder}/{key}` removes it"

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return whether it is of a lock or semaphore of multiprocessing, which removes the name at its end."""
        return self.kind == "posix-sem" and str(key).startswith("sem.mp-")

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Unlink it."""
        if self.kind == "posix-mq":
            mq_unlink(f"/{key}")
        else:
            os.unlink(f"{self._folder}/{key}")
        return True

    def _name(self, key: Hashable) -> str:
        return "/" + (str(key).removeprefix("sem.") if self.kind == "posix-sem" else str(key))


DETECTORS: dict[str, Callable[[], Detector]] = {kind: partial(PosixNames, kind) for kind in _FOLDERS}
