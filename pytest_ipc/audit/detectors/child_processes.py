"""Children of the process that runs the tests: those that still run, and zombies that nobody has reaped (wait(2))."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress

from ...custody.descendants import (
    Row,
    children_of,
    has_children,
    is_reaper,
    lists_children,
    parent_thread,
    processes,
    row_of,
)
from ...kernel.proc import contents
from ...unpatched import os, signal
from ..leak import Detector, Snapshot
from ..one_round import once
from ..origin import Origin, command_of
from ..owned import Owned

__all__ = ["DETECTORS"]


class Processes(Detector):
    """Each child by process id and start."""

    kind = "processes"
    settles = True

    def snapshot(self) -> Snapshot:
        """Return the children."""
        if not once(has_children):
            return {}
        if not lists_children():
            return {row.pid: row for row in processes() if row.ppid == os.getpid()}
        found = children_of("self")
        if not found:
            contents("/proc/thread-self/children")  # raises the error that hides them, as EMFILE
        return dict.fromkeys(found)

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield the new children, except reapers of other runs."""
        for key in after:
            if key not in before and not is_reaper(int(str(key))):
                yield key

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture has started it, or a library for the whole process."""
        return key in owned.processes

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the process id, the command and whether it is a zombie."""
        row = _row(key)
        state = "a zombie that nobody has reaped" if row is None or row.has_ended else "running"
        return f"process {key} ({command_of(int(str(key)))}), {state}"

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str:
        """Return that it is a child; "" if a thread from before the test may have started it."""
        thread = parent_thread(int(str(key)))
        if thread is not None and origin.is_of_older_thread(thread):
            return ""
        # The children of a thread that ends become those of another.
        if not all(os.path.exists(f"/proc/self/task/{each}") for each in origin.older_threads):
            return ""
        return "a child of the process that ran the test"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return how to end it."""
        row = _row(key)
        return "os.waitpid() reaps it" if row is None or row.has_ended else f"kill {key}, and os.waitpid() reaps it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Kill and reap it."""
        pid = int(str(key))
        with suppress(ProcessLookupError):  # it has ended
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # the test's own code has reaped it
            os.waitpid(pid, 0)
        return True


def _row(key: Hashable) -> Row | None:
    return row_of(int(str(key)))


DETECTORS: dict[str, Callable[[], Detector]] = {"processes": Processes}
