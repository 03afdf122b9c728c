"""Whose a process is: the process that runs the test, one that the test has started, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

from ..custody.descendants import below
from ..custody.status import owners
from ..kernel.proc import process_state
from ..processes import history
from ..processes.audit_events import starter_of, user_of
from ..unpatched import io, os
from .users import find_users

__all__ = ["Origin", "command_of", "is_owned_elsewhere"]


class Origin:
    """The processes of one test, and the objects that they were seen to use.

    *isolated* has the places that are the run's own: "ipc" for the IPC namespace, "/dev/shm", "/dev/mqueue".
    """

    def __init__(self, *, isolated: AbstractSet[str] = frozenset()) -> None:
        self.isolated = isolated
        self._own = os.getpid()
        self.older_threads: AbstractSet[int] = frozenset()  # of this process, from before the test
        self._users: Mapping[tuple[int, int], AbstractSet[int]] | None = None  # of files, when they were last needed

    def look_again(self, older_threads: AbstractSet[int]) -> None:
        """Forget what was seen at the end of the last test; these threads are from before this one."""
        self.older_threads, self._users = older_threads, None

    def is_of_older_thread(self, thread: int) -> bool:
        """Return whether a thread of this process, or one that has started it, is another than the main one and older.

        What such a thread does is not proved to be the test's: an earlier test may have leaked it.
        """
        seen = set[int]()
        while thread not in {self._own, *seen}:
            if thread in self.older_threads:
                return True
            seen.add(thread)
            thread = starter_of(thread) or self._own
        return False

    def processes(self) -> dict[int, str]:
        """Return the living processes of the test, with what each is."""
        found = {self._own: "this process"}
        found.update((row.pid, f"process {row.pid} ({command_of(row.pid)})") for row in below(self._own))
        return found

    def of(self, pid: int) -> str | None:
        """Return what process *pid* is, if it is proved to be the test's; else None."""
        if pid == self._own:
            return "this process"
        if (name := history.name_of(pid)) is not None:
            ended = "" if process_state(pid) else ", which has ended"
            return f"process {pid}{'' if name == '?' else f' ({name})'}, started by the test{ended}"
        for row in below(self._own):
            if row.pid == pid:
                return f"process {pid} ({command_of(pid)}), started by the test"
        return None

    def used(self, file: tuple[int, int]) -> str | None:
        """Return which process of the test had the file with this device and inode number open or mapped.

        None also if a living process of others uses it too, which may have created it.
        """
        found = self._used(file)
        return found if found and not self._is_in_use_elsewhere(file) else None

    def _is_in_use_elsewhere(self, file: tuple[int, int]) -> bool:
        if self._users is None:
            self._users = find_users().files
        return any(self.of(pid) is None for pid in self._users.get(file, ()))

    def _used(self, file: tuple[int, int]) -> str | None:
        for pid, files in list(history.files_of_killed.items()):
            if file in files:
                return f"used by process {pid} ({history.name_of(pid)}), started by the test, when it was killed"
        for pid, name in self.processes().items():
            if file in history.files_of(pid):
                return f"in use by {name}"
        if (user := user_of(file)) is not None:
            return f"mapped by {self.of(user) or f'process {user} of this run'}"
        return None


def is_owned_elsewhere(kind: str, identity: object, key: int | None = None) -> bool:
    """Return whether an object is on record in a ledger, as that of another run or worker."""
    recorded = owners()
    return f"{kind} {identity}" in recorded or (key is not None and f"{kind} key {key}" in recorded)


def command_of(pid: int) -> str:
    """Return the name of the program that process *pid* runs, or "?"."""
    # It may have ended.
    with suppress(OSError), io.open(f"/proc/{pid}/comm", errors="replace") as file:
        return file.read().strip()
    return "?"
