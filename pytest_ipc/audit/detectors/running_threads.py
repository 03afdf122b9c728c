"""Threads that a test has started and that still run, including those of C libraries (proc_pid_task(5))."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from contextlib import suppress

from ...unpatched import io, os
from ..leak import Detector, Snapshot

__all__ = ["DETECTORS"]


class Threads(Detector):
    """Each thread by its id."""

    kind = "threads"
    settles = True

    def snapshot(self) -> Snapshot:
        """Return the thread ids."""
        return dict.fromkeys(os.listdir("/proc/self/task"))

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return its id, and its name in Python or in the kernel."""
        names = sys.modules["threading"].enumerate() if "threading" in sys.modules else []
        for thread in names:
            if str(thread.native_id) == key:
                return f"thread {key}, {'daemon ' if thread.daemon else ''}{thread.name!r}"
        # It may have ended.
        with suppress(OSError), io.open(f"/proc/self/task/{key}/comm", errors="replace") as file:
            return f"thread {key} ({file.read().strip()}), started by a library"
        return f"thread {key}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return how to end it."""
        return "end it, and join() waits for its end"


DETECTORS: dict[str, Callable[[], Detector]] = {"threads": Threads}
