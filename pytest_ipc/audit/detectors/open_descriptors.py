"""Descriptors that a test has opened and not closed (proc_pid_fd(5))."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress

from ...custody import ledger
from ...unpatched import os
from ..leak import Detector, Snapshot
from ..owned import Owned

__all__ = ["DETECTORS"]


class Descriptors(Detector):
    """Each open descriptor by number. A number that refers to another file afterwards is not a leak."""

    kind = "descriptors"

    def snapshot(self) -> Snapshot:
        """Return the numbers, without that of the listing itself, which is the lowest free one."""
        lowest = os.open("/proc/self/fd", os.O_RDONLY | os.O_CLOEXEC)
        os.close(lowest)
        found: dict[Hashable, None] = dict.fromkeys(os.listdir("/proc/self/fd"))
        try:
            os.get_inheritable(lowest)
        except OSError:
            found.pop(str(lowest), None)
        return found

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield the numbers that are open now but were not, except those of known helpers."""
        helpers = _of_helpers()
        for key in after:
            if key not in before and int(str(key)) not in helpers and _target(key):
                yield key

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture holds it."""
        return int(str(key)) in owned.descriptors

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the number and what it refers to."""
        return f"descriptor {key}, {_target(key)}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call that closes it."""
        return f"os.close({key}) closes it"

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


def _of_helpers() -> set[int]:
    """Return the descriptors of the ledger and of multiprocessing's helpers, which live as long as the process."""
    found = {ledger.current().descriptor()} if ledger.is_open() else set[int]()
    for module, name, attributes in (
        ("multiprocessing.resource_tracker", "_resource_tracker", ("_fd",)),
        ("multiprocessing.forkserver", "_forkserver", ("_forkserver_alive_fd",)),
    ):
        helper = getattr(sys.modules.get(module), name, None)
        found.update(fd for each in attributes if isinstance(fd := getattr(helper, each, None), int))
    return found


DETECTORS: dict[str, Callable[[], Detector]] = {"descriptors": Descriptors}
