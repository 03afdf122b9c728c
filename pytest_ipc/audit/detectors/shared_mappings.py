"""Shared memory that this process still has mapped or attached (proc_pid_maps(5))."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable

from ...kernel.listings import shared_ranges
from ...kernel.proc import contents
from ...kernel.shm import shmdt
from ..leak import Detector, Snapshot
from ..owned import Owned

__all__ = ["DETECTORS"]

_SHARED = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ..?.?s [0-9a-f]+ (\S+ \d+) *(.*)$", re.MULTILINE)

# A table of glibc that iconv(3) maps, with the first conversion by the locale, and keeps.
_OF_LIBC = b"/gconv-modules.cache"


class Mappings(Detector):
    """Each shared mapping by address and file: an anonymous one has a file of its own, with a number.

    The list is read again only if the ranges have changed. Before Linux 6.11 that is the size of the address space, and
    a mapping is missed if as many bytes were unmapped in the same test.
    """

    kind = "mappings"
    outlasts = True

    def __init__(self) -> None:
        self._listed: tuple[object, Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return the shared mappings: end and path by start and file."""
        ranges = shared_ranges()
        if ranges is None:
            ranges = contents("/proc/self/statm").split(b" ", 1)[0]
        if self._listed is None or self._listed[0] != ranges:
            rows = [row for row in _SHARED.findall(contents("/proc/self/maps")) if not row[3].endswith(_OF_LIBC)]
            self._listed = (
                ranges,
                {
                    (int(start, 16), file): (int(end, 16), path.decode(errors="replace"))
                    for start, end, file, path in rows
                },
            )
        return self._listed[1]

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture has mapped it."""
        start = _start(key)
        return any(start <= address < after[key][0] for address in owned.addresses)

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return size, address and file."""
        start, (end, path) = _start(key), after[key]
        return f"shared mapping of {end - start} bytes at {start:#x}, {path or 'anonymous'}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call that removes it."""
        return (
            "shmdt(2) detaches it"
            if after[key][1].startswith("/SYSV")
            else "munmap(2), or close() of the mmap, unmaps it"
        )

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return True."""
        return True

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Detach a segment. Other mappings may still be referred to by Python objects, whose use would be a SIGSEGV."""
        if after[key][1].startswith("/SYSV"):
            shmdt(_start(key))
            return True
        return False


def _start(key: Hashable) -> int:
    assert isinstance(key, tuple)
    return int(key[0])


DETECTORS: dict[str, Callable[[], Detector]] = {"mappings": Mappings}
