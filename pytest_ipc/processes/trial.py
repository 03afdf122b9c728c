"""Try a call in a forked child to find out, without side effects, whether it is permitted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ..kernel.bare_fork import fork
from ..unpatched import os

__all__ = ["trial"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def trial(call: Callable[[], object]) -> OSError | None:
    """Return the error of *call* in a forked child; None if it succeeds. Raises OSError if fork(2) fails."""
    read, write = os.pipe()
    try:
        child = fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    if child == 0:
        errno = -1
        try:
            call()
            errno = 0
        except OSError as error:
            errno = error.errno or -1
        finally:
            os.write(write, b"%d" % errno)
            os._exit(0)
    os.close(write)
    try:
        answer = int(os.read(read, 16) or b"-1")
    finally:
        os.close(read)
        with suppress(ChildProcessError):  # where SIGCHLD is ignored
            os.waitpid(child, 0)
    if answer == -1:
        return OSError(None, "the trial call failed without an errno")
    return OSError(answer, os.strerror(answer)) if answer else None
