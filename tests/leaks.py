"""What a test of this project may not leave behind: IPC objects, children, descriptors, temporary directories.

Plain functions, so that a leak can be planted for each of them and they can be seen to find it.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_ipc.custody import ledger
from pytest_ipc.kernel import msg, process_state, sem, sysvipc_msg, sysvipc_sem, sysvipc_shm
from pytest_ipc.kernel.libc import syscall


def segments() -> dict[int, str]:
    """Return the System V segments that this process has made and that exist."""
    return {row.shmid: f"key {row.key:#x}" for row in sysvipc_shm() or () if row.cpid == os.getpid()}


def shared_memory() -> dict[str, str]:
    """Return the POSIX objects in /dev/shm to which this process has given their name."""
    return {path.name: f"{path.stat().st_size} bytes" for path in Path("/dev/shm").glob(f"*pytest-ipc-{os.getpid()}-*")}


def queues() -> list[str]:
    """Return every message queue of this IPC namespace, from a mount that no directory shows.

    None where that is not allowed.
    """
    folder = _mqueue()
    if folder is None:
        return []
    listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.listdir(listing)
    finally:
        os.close(listing)


@cache
def _mqueue() -> int | None:
    """fsopen(2), fsconfig(2), fsmount(2): their numbers are the same on every machine."""
    name = ctypes.create_string_buffer(b"mqueue")
    try:
        context = syscall(430, ctypes.addressof(name), 1)
        try:
            syscall(431, context, 6, 0, 0, 0)
            return syscall(432, context, 1, 0)
        finally:
            os.close(context)
    except OSError:
        return None


def close_queues() -> None:
    """Close the descriptor that queues() keeps."""
    if (folder := _mqueue()) is not None:
        os.close(folder)
    _mqueue.cache_clear()


def own_queues() -> dict[str, str]:
    """Return the message queues to which this process has given their name."""
    return {name: "" for name in queues() if name.startswith(f"pytest-ipc-{os.getpid()}-")}


def semaphores() -> dict[str, str]:
    """Return the named semaphores that this process has open, whatever their name, by address."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[0]: line.split(maxsplit=5)[5] for line in lines if "/dev/shm/sem." in line}


def mappings() -> dict[str, str]:
    """Return the memory that is shared with files that resources have made, by where it is."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[0]: line.split(maxsplit=5)[5] for line in lines if "/pytest-ipc-" in line}


def sets() -> dict[int, str]:
    """Return the System V semaphore sets that this process has made or found and that exist."""
    return {row.semid: f"key {row.key:#x}" for row in sysvipc_sem() or () if row.semid in _given["_semget"]}


def message_queues() -> dict[int, str]:
    """Return the System V message queues that this process has made or found and that exist."""
    return {row.msqid: f"key {row.key:#x}" for row in sysvipc_msg() or () if row.msqid in _given["_msgget"]}


# The kernel reports no creator of semaphore sets and message queues, so the results of this process's calls are noted.
_given: dict[str, set[int]] = {}


def _note(module: ModuleType, name: str) -> None:
    call, given = getattr(module, name), _given.setdefault(name, set())

    def noting(*arguments: int) -> int:
        id: int = call(*arguments)
        given.add(id)
        return id

    setattr(module, name, noting)


_note(sem, "_semget")
_note(msg, "_msgget")


def children() -> dict[int, str]:
    """Return the children of this process, zombies too, with the state of each."""
    pids = [int(word) for task in Path("/proc/self/task").glob("*/children") for word in task.read_text().split()]
    return {pid: f"state {found.state}" for pid in pids if (found := process_state(pid))}


def descriptors() -> dict[tuple[int, str], str]:
    """Return the open descriptors of this process by number and by what they refer to.

    The ledger's is another one each time that the ledger is rewritten.
    """
    found = {}
    own = str(ledger.current().descriptor()) if ledger.is_open() else ""
    for name in os.listdir("/proc/self/fd"):
        if name == own:
            continue
        with suppress(OSError):  # the descriptor of the listing is closed by now
            found[int(name), os.readlink(f"/proc/self/fd/{name}")] = ""
    return found


def directories(root: Path) -> dict[str, str]:
    """Return the directories below *root* that resources have made for themselves."""
    return {path.name: "" for path in root.glob("pytest-ipc-*")}


@dataclass(frozen=True)
class Snapshot:
    """The objects at one moment, by kind."""

    kinds: Mapping[str, Mapping[Any, str]]

    @classmethod
    def take(cls, root: Path) -> Snapshot:
        """Look at everything; *root* is where temporary directories are made."""
        return cls(
            {
                "System V segment": segments(),
                "message queue": own_queues(),
                "semaphore": semaphores(),
                "shared memory": shared_memory(),
                "mapping": mappings(),
                "System V semaphore set": sets(),
                "System V message queue": message_queues(),
                "child process": children(),
                "open descriptor": descriptors(),
                "temporary directory": directories(root),
            }
        )

    def left(self, later: Snapshot) -> list[str]:
        """Return what *later* has and this one has not, a line each."""
        return [
            f"{kind} {what} {how}".rstrip()
            for kind, now in later.kinds.items()
            for what, how in now.items()
            if what not in self.kinds[kind]
        ]


def left_since(before: Snapshot, root: Path) -> list[str]:
    """Return what is there now and was not *before*.

    Only on suspicion is garbage collected first: it costs as much as a test.
    """
    if before.left(Snapshot.take(root)):
        gc.collect()
    return before.left(Snapshot.take(root))
