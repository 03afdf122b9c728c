"""Ownership of IPC objects: recorded before they exist, removed however their process ends."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from ..unpatched import os

# Process id of the pytest-xdist controller of this worker; set by the plugin. The environment cannot give it, as
# programs that a test starts inherit it.
controller = 0

# Effective user when the plugin was loaded; a test may change it before the first object is created.
user: int = os.geteuid()

# What is the test runner's: the pipes and sockets, by device and inode number, and the threads, such as execnet's, that
# there were when the plugin was loaded.
runners: set[tuple[int, int]] = set()
threads: set[str] = set()


def note_runners() -> None:
    """Note the runner's pipes, sockets and threads: all that there are now."""
    runners.update([identity for _, identity in streams()])
    threads.update(thread_ids())


def thread_ids() -> list[str]:
    """Return the ids of the threads of this process."""
    try:
        return os.listdir("/proc/self/task")
    except OSError:  # without /proc
        return ["?"]


def streams() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the pipes and sockets that are open in this process, with their identity."""
    for fd in possible_descriptors():
        try:
            status = os.fstat(fd)
        except OSError:  # the descriptor of the listing
            continue
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
            yield fd, (status.st_dev, status.st_ino)


def possible_descriptors() -> list[int]:
    """Return the numbers of the descriptors that may be open, including that of the listing itself."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # without /proc
        return list(range(min(os.sysconf("SC_OPEN_MAX"), 4096)))
