"""The leftovers of a run, as the kernel and not the ledger shows them: objects and processes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ipc.custody.descendants import is_zombie
from pytest_ipc.custody.identity import Process, tagged
from pytest_ipc.kernel import Deadline, mq_close, mq_open, semctl_limits, sysvipc_msg, sysvipc_sem, sysvipc_shm

from ..leaks import queues

Note = dict[str, Any]

# The promise is one second. A machine under load may take longer without having broken it: what is asserted is that
# # nothing remains after this time, and the time taken is recorded.
PATIENCE = 5.0


def segment_is_left(note: Note) -> bool:
    """Return the id holds the slot's sequence number, so that it is not given again to the slot's next tenant."""
    return any(row.shmid == note["id"] or row.key == note["key"] != 0 for row in sysvipc_shm() or ())


def set_is_left(note: Note) -> bool:
    return any(row.semid == note["id"] or row.key == note["key"] != 0 for row in sysvipc_sem() or ())


def message_queue_is_left(note: Note) -> bool:
    return any(row.msqid == note["id"] or row.key == note["key"] != 0 for row in sysvipc_msg() or ())


def file_is_left(note: Note) -> bool:
    return os.path.lexists(note["path"])


def posix_semaphore_is_left(note: Note) -> bool:
    """In a file as glibc or as musl names it."""
    return any(os.path.lexists(f"/dev/shm/{prefix}{note['name'][1:]}") for prefix in ("sem.", ""))


def queue_is_left(note: Note) -> bool:
    """Return whether its name exists; or the refusal, for a name that may not be opened."""
    try:
        mq_close(mq_open(note["name"], os.O_RDONLY | os.O_NONBLOCK))
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    return True


def process_is_left(note: Note) -> bool:
    """Return the process and all with its tag, also those that it started but did not report."""
    return Process(note["pid"], note["start"]).alive() or any(not is_zombie(pid) for pid in tagged(note["tag"]))


# By the name of the kind in pytest_ipc.custody.kinds.KINDS.
IS_LEFT: dict[str, Callable[[Note], bool]] = {
    "sysv-shm": segment_is_left,
    "sysv-sem": set_is_left,
    "sysv-msg": message_queue_is_left,
    "posix-shm": file_is_left,
    "posix-sem": posix_semaphore_is_left,
    "posix-mq": queue_is_left,
    "fifo": file_is_left,
    "mapped-file": file_is_left,
    "lock-file": file_is_left,
    "unix-socket": file_is_left,
    "reserved-name": file_is_left,
    "reserved-key": segment_is_left,
    "reserved-path": file_is_left,
    "process": process_is_left,
}


def _rare_mode() -> int:
    """A mode of message queues that runs do not have who are tried at the same time, and programs hardly ever."""
    modes = [0o600 | group << 3 | other for group in (0, 2, 4, 5, 6, 7) for other in (2, 5, 7)]
    modes += [mode | 0o100 for mode in modes]
    return modes[os.getpid() % len(modes)]


@dataclass(frozen=True)
class Place:
    """The directory of one run: its state directory, temporary files, FIFOs and notes."""

    path: Path
    size: int
    nsems: int
    mode: int
    alone: bool = False  # on ground of its own: whatever is in /dev/shm or among the message queues is the run's

    @classmethod
    def make(cls, path: Path) -> Place:
        """Return a new one at *path*, closed to other users but for the way through it."""
        path.mkdir(exist_ok=True)
        for name in ("run", "tmp", "fifos"):
            (path / name).mkdir(0o700)
        # Random, and of a size that no other program is likely to ask for. There are too few numbers of semaphores for
        # that; but places are created one after the other, and no two have one process id.
        nsems = 100 + os.getpid() % (min(semctl_limits().semmsl, 30_000) - 100)
        return cls(path, int.from_bytes(os.urandom(3), "little") | 0x40_0001, nsems, _rare_mode())

    @property
    def environment(self) -> dict[str, str]:
        """What a run in this place has in its environment."""
        return {
            "XDG_RUNTIME_DIR": str(self.path / "run"),
            "TMPDIR": str(self.path / "tmp"),
            "IPC_PLACE": str(self.path / "fifos"),
            "IPC_NOTES": str(self.path / "notes"),
            "IPC_SIZE": str(self.size),
            "IPC_NSEMS": str(self.nsems),
            "IPC_MODE": str(self.mode),
        }

    def notes(self) -> list[Note]:
        """Return what the run has reported so far."""
        try:
            lines = (self.path / "notes").read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def left(self, spared: Collection[object] = ()) -> dict[str, list[str]]:
        """What is still there and should not be, by kind; *spared* are the ids and paths of what is not the run's."""
        found: dict[str, list[str]] = {kind: [] for kind in IS_LEFT}
        for note in self.notes():
            if note["kind"] in IS_LEFT and IS_LEFT[note["kind"]](note):
                found[note["kind"]].append(note["what"])
        # # And unreported objects, as the run was dead before it could report them.
        segments = [row.shmid for row in sysvipc_shm() or () if row.size == self.size]
        sets = [row.semid for row in sysvipc_sem() or () if row.nsems == self.nsems]
        made = [row.msqid for row in sysvipc_msg() or () if self.alone or row.perms == self.mode]
        files = [str(path) for name in ("tmp", "fifos") for path in (self.path / name).iterdir()]
        found["posix-shm"] += [path for path in self.shared_memory() if path not in spared]
        if self.alone:
            found["posix-sem"] += [f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if name not in spared]
            found["posix-mq"] += [f"/{name}" for name in queues() if name not in spared]
        found["sysv-shm"] += [f"id {id}" for id in segments if id not in spared]
        found["sysv-sem"] += [f"id {id}" for id in sets if ("sysv-sem", id) not in spared]
        found["sysv-msg"] += [f"id {id}" for id in made if ("sysv-msg", id) not in spared]
        found["fifo"] += [path for path in files if path not in spared]
        found["ledger"] = [path.name for path in (self.path / "run").glob("pytest-ipc/*")]
        found["process"] += [f"pid {pid}" for pid in self.processes() if pid not in spared]
        return {kind: things for kind, things in found.items() if things}

    def shared_memory(self) -> list[str]:
        """POSIX objects of the run's size, or of a name that only it gives: they have no size at first."""
        found = []
        for path in Path("/dev/shm").iterdir():
            try:
                if path.stat().st_size == self.size or path.name.startswith(f"ipc-{self.size:x}-"):
                    found.append(str(path))
            except FileNotFoundError:
                continue
        return found

    def processes(self) -> list[int]:
        """Return the processes that work in this place or keep ledgers here: the run, its children, its reapers."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    if self._works_here(Path("/proc", name)):
                        found.append(int(name))
                except OSError:  # it has ended, or is another user's
                    continue
        return [pid for pid in found if not is_zombie(pid)]

    def _works_here(self, process: Path) -> bool:
        if f"{os.readlink(process / 'cwd')}/".startswith(f"{self.path}/"):
            return True
        run = os.fsencode(self.path / "run")
        return any(run in (process / name).read_bytes() for name in ("cmdline", "environ"))

    def clears(self, spared: Collection[object] = ()) -> dict[str, list[str]]:
        """Return the leftovers after the time limit; {} as soon as there are none.

        A process that forks during the listing may be missed: the list must be empty several times in a row.
        """
        empty = 0

        def is_clear() -> bool:
            nonlocal empty
            empty = 0 if self.left(spared) else empty + 1
            return empty == 3

        return {} if Deadline(PATIENCE).until(is_clear) else self.left(spared)
