"""What of this process is the test runner's: its pipes, which a forked child does not keep, and its threads.

A child that holds a pipe of the runner keeps its reader waiting: the controller of a dead pytest-xdist worker, or a
shell that reads pytest's output. The pipes and sockets that are open when the plugin is loaded are the runner's:
execnet's channel, standard streams, and their later duplicates, as pytest's capture makes them. All others are the
test's or harmless, such as those that the test's objects (log handlers, queues and the resource tracker of
multiprocessing) refer to by number.
"""

from __future__ import annotations

import stat
from _thread import get_native_id
from collections.abc import Collection, Iterator

from ..unpatched import os

__all__ = ["close_runners", "has_threads_of_tests", "note_runners", "possible_descriptors"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# By device and inode number: pipes and sockets that were open when the plugin was loaded.
_runners: set[tuple[int, int]] = set()
# The ids of the threads that ran then, such as execnet's.
_threads: set[str] = set()


def note_runners() -> None:
    """Note the runner's pipes, sockets and threads: all that there are now."""
    _runners.update(identity for _, identity in _streams())
    _threads.update(_thread_ids())


def has_threads_of_tests() -> bool:
    """Return whether code of a test may run in another thread of this process: in the first, or in a new one."""
    me = get_native_id()
    return me != os.getpid() or not set(_thread_ids()) - {str(me)} <= _threads


def _thread_ids() -> list[str]:
    try:
        return os.listdir("/proc/self/task")
    except OSError:  # without /proc
        return ["?"]


def close_runners(keep: Collection[int] = ()) -> None:
    """Close, in a child, the runner's pipes and sockets, except the standard streams and those in *keep*."""
    if _runners:
        for fd, identity in list(_streams()):
            if fd > 2 and fd not in keep and identity in _runners:
                os.close(fd)


def _streams() -> Iterator[tuple[int, tuple[int, int]]]:
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
