"""Objects that are passed to a process of multiprocessing: how it finds them, and how a descriptor gets there.

An object is pickled as its key, name or path, and is opened by it. A descriptor has neither: it can be passed only with
the arguments of a process while that is started, as multiprocessing passes its own connections.
"""

from __future__ import annotations

import sys
from errno import ESTALE
from typing import Any, Protocol

from ..custody.private_folder import Identity, identity_of
from ..printable import plain
from ..unpatched import os

__all__ = ["Duplicate", "duplicate", "is_at", "not_found", "received"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Duplicate(Protocol):
    """A descriptor on its way to a process that is being started: multiprocessing.reduction.DupFd()."""

    def detach(self) -> int:
        """Return the descriptor, in that process."""
        ...


def not_found(what: object) -> OSError:
    """Return the error of a process that does not find *what* was passed to it."""
    return OSError(
        ESTALE,
        f"{plain(what)} was passed to this process, which does not find it: it has been removed or replaced, or is in "
        "another namespace",
    )


def is_at(path: str, identity: Identity) -> bool:
    """Return whether the file with *identity* is at *path*. Raises other OSErrors."""
    try:
        return identity_of(os.lstat(path)) == identity
    except FileNotFoundError:
        return False


def duplicate(fd: int, what: object) -> Duplicate:
    """Return *fd* for the process that multiprocessing starts now. Raises TypeError if it starts none."""
    context: Any = sys.modules.get("multiprocessing.context")
    if context is None or context.get_spawning_popen() is None:
        raise TypeError(
            f"{plain(what)} can be passed to another process only as an argument of multiprocessing's Process, while "
            "that is started: it is a descriptor, without a name"
        )
    from multiprocessing.reduction import DupFd

    found: Duplicate = DupFd(fd)
    return found


def received(passed: Duplicate) -> int:
    """Return the descriptor *passed* in the process that it was passed to, close-on-exec."""
    fd = passed.detach()
    os.set_inheritable(fd, False)
    return fd
