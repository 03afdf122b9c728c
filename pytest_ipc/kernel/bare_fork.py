"""fork(2) for the package's own children, without Python's warning about it in a process with threads."""

from __future__ import annotations

import warnings

from ..unpatched import os

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def fork() -> int:
    """Fork: return 0 in the child, its process id in the parent (fork(2)). OSError.

    Python 3.12 and later warn of every fork in a process with threads, such as a pytest-xdist worker: the child could
    wait for a lock that another thread held. Children of this package take no such lock, run their function, and leave
    by os._exit.
    """
    # Not catch_warnings(): if two threads forked at once, the filters of one of them would stay.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pytest_ipc\.kernel\.bare_fork$")
    return os.fork()
