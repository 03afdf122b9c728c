"""Threads that a test has started and that still run, including those of C libraries (proc_pid_task(5))."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ...unpatched import io, os
from ..idle_threads import executor_of, is_idle_in_pool
from ..leak import Detector, Snapshot
from ..one_round import once
from ..origin import Origin
from ..own_status import own_status
from ..owned import Owned

if TYPE_CHECKING:
    from threading import Thread

__all__ = ["DETECTORS"]

_MODULES = "modules"


class Threads(Detector):
    """Each thread by its id."""

    kind = "threads"
    settles = True
    outlasts = True  # the kernel gives an id again when it has given all others

    def __init__(self) -> None:
        self._has_loaded = False
        self._alone: dict[Hashable, int] = {}

    def snapshot(self) -> Snapshot:
        """Return the thread ids, and the number of modules, which shows whether some have been imported since.

        A single thread is the main thread, as long as that runs, and needs no list.
        """
        modules = len(sys.modules)
        if self._alone and once(own_status).threads == 1:
            if self._alone[_MODULES] != modules:
                self._alone = {**self._alone, _MODULES: modules}
            return self._alone
        found: dict[Hashable, int] = dict.fromkeys(os.listdir("/proc/self/task"), 0)
        found[_MODULES] = modules
        self._alone = found if len(found) == 2 else {}
        return found

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield the new threads."""
        new = list(sys.modules.values())[before[_MODULES] :]
        self._has_loaded = any(str(getattr(module, "__file__", "")).endswith(".so") for module in new)
        return (key for key in after if key not in before)

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a library keeps it for the whole process."""
        return int(str(key)) in owned.threads or is_idle_in_pool(int(str(key)))

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return its id, and its name in Python or in the kernel."""
        if (thread := _python_thread(key)) is not None:
            return f"thread {key}, {'daemon ' if thread.daemon else ''}{thread.name!r}"
        # It may have ended.
        with suppress(OSError), io.open(f"/proc/self/task/{key}/comm", errors="replace") as file:
            return f"thread {key} ({file.read().strip()}), started by a library"
        return f"thread {key}"

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str:
        """Return "" for a thread of C code if the test was the first to import a library: many start threads then.

        So do threads of gevent's pool, which Python does not know either, and which its hub keeps. And "" for a thread
        that one from before the test has started.
        """
        if origin.is_of_older_thread(int(str(key))):
            return ""
        if _python_thread(key) is None and (self._has_loaded or "gevent.threadpool" in sys.modules):
            return ""
        return "of the process that ran the test"

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return whether it ends with its executor."""
        return executor_of(int(str(key))) is not None

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return how to end it."""
        return "end it, and join() waits for its end"


def _python_thread(key: Hashable) -> Thread | None:
    threads = sys.modules["threading"].enumerate() if "threading" in sys.modules else []
    return next((thread for thread in threads if str(thread.native_id) == key), None)


DETECTORS: dict[str, Callable[[], Detector]] = {"threads": Threads}
