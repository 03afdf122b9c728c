"""The processes that a test has started, and the shared memory and queues that each had open before it was killed.

The kernel records who created a System V segment, but not who created a name in /dev/shm, and a killed process can no
longer be asked. So while a leak check is on, this is noted before a fixture kills a process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..custody.cleanup import failures_ignored
from ..custody.descendants import below
from ..kernel.proc import contents
from ..unpatched import os

__all__ = [
    "about_to_kill",
    "files_of",
    "files_of_killed",
    "forget",
    "is_recorder",
    "name_of",
    "note_files",
    "open_ipc_files",
    "record",
    "started",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Device and inode number.
FileId = tuple[int, int]

_MAPPED = re.compile(rb"^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +/", re.MULTILINE)
_FOLDERS = ("/dev/shm/", "/dev/mqueue/")

started_here: dict[int, str] = {}
files_of_killed: dict[int, set[FileId]] = {}
dying: set[int] = set()

_SLOTS = 4096
_NONE = memoryview(bytes(4 * _SLOTS)).cast("i")


class _Notes:
    """Process ids in shared memory, where descendants add their own: that of *pid* is in the slot of its remainder.

    Two of them cannot disturb each other but by a common remainder, and then one is forgotten.
    """

    recorder = 0  # the process that runs tests
    pids: memoryview | None = None


def record() -> None:
    """Note processes from now on: those that this process starts, and what is forked by Python below it."""
    if _Notes.recorder == os.getpid():
        return
    import mmap

    _Notes.recorder = os.getpid()
    if _Notes.pids is None:
        _Notes.pids = memoryview(mmap.mmap(-1, 4 * _SLOTS)).cast("i")
        os.register_at_fork(after_in_child=_note_self)


def forget() -> None:
    """Forget the processes of a test that has ended."""
    started_here.clear()
    files_of_killed.clear()
    dying.clear()
    if _Notes.pids is not None and _Notes.recorder == os.getpid():
        _Notes.pids[:] = _NONE


def started(pid: int, name: str = "") -> None:
    """Note a process that has been started or reaped."""
    if _Notes.pids is None:
        return
    _Notes.pids[pid % _SLOTS] = pid
    if _Notes.recorder == os.getpid() and (name or pid not in started_here):
        started_here[pid] = name or "?"


def name_of(pid: int) -> str | None:
    """Return the name of a process that was started in the test, or "?"; None for any other process."""
    if pid in started_here:
        return started_here[pid]
    return "?" if _Notes.pids is not None and _Notes.pids[pid % _SLOTS] == pid else None


def _note_self() -> None:
    if _Notes.pids is not None:
        _Notes.pids[os.getpid() % _SLOTS] = os.getpid()


def about_to_kill(pid: int) -> None:
    """Note what process *pid*, which is killed by all means, and those below it have open."""
    if is_recorder():
        dying.add(pid)
        note_files(pid)


def note_files(pid: int) -> None:
    """Note what process *pid* and those below it have open."""
    for each in [pid, *(row.pid for row in below(pid))]:
        started(each, "" if each in started_here else _command_of(each))
        files_of_killed.setdefault(each, set()).update(files_of(each))


def is_recorder() -> bool:
    """Return whether this is the process that notes what its tests start."""
    return _Notes.recorder == os.getpid()


def _command_of(pid: int) -> str:
    with failures_ignored:  # it may have ended
        return contents(f"/proc/{pid}/comm").decode(errors="replace").strip()
    return ""


def files_of(pid: int) -> set[FileId]:
    """Return the files that a process has mapped, and those that it has open in /dev/shm or as message queues."""
    found = set[FileId]()
    try:
        # Not by open(): in a process without memory a file object may be lost half-made, and its warning ends CPython.
        found.update(
            (os.makedev(int(major, 16), int(minor, 16)), int(inode))
            for major, minor, inode in _MAPPED.findall(contents(f"/proc/{pid}/maps"))
        )
        found.update(open_ipc_files(pid))
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        # Otherwise it has ended, or may not be looked into: nothing is proved.
    return found


def open_ipc_files(pid: int) -> Iterator[FileId]:
    """Yield the open files that may be shared memory or semaphores (in /dev/shm) or message queues. OSError."""
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
            # The kernel shows an open queue as /name, and as the path where the file system is mounted.
            if target.startswith(_FOLDERS) or target.rfind("/") == 0:
                status = os.stat(f"{folder}/{name}")
                yield status.st_dev, status.st_ino
        except FileNotFoundError:
            continue  # it is closed by now
