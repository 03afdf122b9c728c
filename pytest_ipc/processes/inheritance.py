"""What of this process is the test runner's: its pipes, which a forked child does not keep, and its threads.

A child that holds a pipe of the runner keeps its reader waiting: the controller of a dead pytest-xdist worker, or a
shell that reads pytest's output. The pipes and sockets that are open when the plugin is loaded are the runner's:
execnet's channel, standard streams, and their later duplicates, as pytest's capture makes them. All others are the
test's or harmless, such as those that the test's objects (log handlers, queues and the resource tracker of
multiprocessing) refer to by number.
"""

from __future__ import annotations

from _thread import get_native_id
from collections.abc import Collection

from .. import custody
from ..unpatched import os

__all__ = ["close_runners", "has_threads_of_tests"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def has_threads_of_tests() -> bool:
    """Return whether code of a test may run in another thread of this process: in the first, or in a new one."""
    me = get_native_id()
    return me != os.getpid() or not set(custody.thread_ids()) - {str(me)} <= custody.threads


def close_runners(keep: Collection[int] = ()) -> None:
    """Close, in a child, the runner's pipes and sockets, except the standard streams and those in *keep*."""
    if custody.runners:
        for fd, identity in list(custody.streams()):
            if fd > 2 and fd not in keep and identity in custody.runners:
                os.close(fd)
