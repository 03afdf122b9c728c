"""The descriptors that a forked child keeps: all open ones, as after fork(2), except the pipes of the test runner.

A child that holds a pipe of the runner keeps whoever reads it waiting: the controller of a pytest-xdist worker that has
died, a shell that reads pytest's output. So what is a pipe or a socket when the plugin is loaded is the runner's:
execnet's channel, standard streams, and whatever has been duplicated from them since, as pytest's capture does.
Everything else is the test's or harmless, above all what the test's own objects (log handlers, multiprocessing's queues
and its resource tracker) refer to by number.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator

from ..unpatched import os

__all__ = ["close_runners", "note_runners", "possible_descriptors"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# By device and inode number: pipes and sockets that were open when the plugin was loaded.
_runners: set[tuple[int, int]] = set()


def note_runners() -> None:
    """Take note of the runner's pipes and sockets: all that are open now."""
    _runners.update(identity for _, identity in _streams())


def close_runners(keep: Collection[int] = ()) -> None:
    """In a child: close the runner's pipes and sockets, except the standard streams and those in *keep*."""
    if _runners:
        for fd, identity in list(_streams()):
            if fd > 2 and fd not in keep and identity in _runners:
                os.close(fd)


def _streams() -> Iterator[tuple[int, tuple[int, int]]]:
    """The pipes and sockets that are open in this process, with their identity."""
    for fd in possible_descriptors():
        try:
            status = os.fstat(fd)
        except OSError:  # the listing's own
            continue
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
            yield fd, (status.st_dev, status.st_ino)


def possible_descriptors() -> list[int]:
    """Return the numbers of the descriptors that may be open; one of them was the listing's own."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # without /proc
        return list(range(min(os.sysconf("SC_OPEN_MAX"), 4096)))
