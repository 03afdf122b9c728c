"""Descriptors that a test has opened and not closed (proc_pid_fd(5))."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress

from ...custody import ledger
from ...unpatched import os
from ..leak import Detector, Snapshot
from ..one_round import once
from ..open_details import addresses_of, opened_at
from ..open_numbers import open_numbers
from ..owned import Owned

__all__ = ["DETECTORS"]


class Descriptors(Detector):
    """Each open descriptor by number. A number that refers to another file afterwards is not a leak."""

    kind = "descriptors"

    def snapshot(self) -> Snapshot:
        """Return the numbers."""
        return once(open_numbers)

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield the numbers that are open now but were not, except that of the ledger."""
        own = ledger.current().descriptor() if ledger.is_open() else -1
        for key in after:
            if key not in before and int(str(key)) != own and _target(key):
                yield key

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture holds it, or a library for the whole process."""
        return int(str(key)) in owned.descriptors or _is_second(key, owned)

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the number, what it refers to, the addresses of a socket, and where it was opened, if known."""
        fd = int(str(key))
        return f"descriptor {key}, {_target(key)}{addresses_of(fd)}{opened_at(fd)}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call that closes it."""
        return f"os.close({key}) closes it"

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return True."""
        return True

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Close its file. The number then refers to /dev/null: a Python object may still own it, and close it later."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.dup2(null, int(str(key)), inheritable=False)
        finally:
            os.close(null)
        return True


def _target(key: Hashable) -> str:
    with suppress(OSError):  # it is closed by now
        return os.readlink(f"/proc/self/fd/{key}")
    return ""


def _is_second(key: Hashable, owned: Owned) -> bool:
    """Return whether it refers to the nameless file of another that is owned: an mmap object has its own descriptor."""
    if not _target(key).endswith(" (deleted)"):
        return False
    file = os.fstat(int(str(key)))
    return any(_is_same(fd, file) for fd in owned.descriptors)


def _is_same(fd: int, file: os.stat_result) -> bool:
    try:
        found = os.fstat(fd)
    except OSError:
        return False  # it is closed
    return (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino)


DETECTORS: dict[str, Callable[[], Detector]] = {"descriptors": Descriptors}
