"""fork(2) for the package's own children, without Python's warning about it in a process with threads."""

from __future__ import annotations

import warnings

from ..unpatched import os


def fork() -> int:
    """Return os.fork(): 0 in the child, its process id in the parent. OSError.

    Python 3.12 and later warn of every fork in a process with threads, such as a pytest-xdist worker: the child may wait for a lock
    that another thread has held. Children of this package take no such lock, run their function, and leave by os._exit.
    """
    # Not catch_warnings(): where two threads fork at once it would leave the filters of one of them behind.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pytest_ipc\.kernel\.bare_fork$")
    return os.fork()
