"""Children for signal and process clauses, with default dispositions whatever pytest was started with."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from resource import RLIMIT_SIGPENDING, getrlimit, setrlimit
from threading import Event, Thread
from typing import Any, NoReturn

from pytest_ipc import Child, Fork, Need, untested
from pytest_ipc.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, Deadline, pause, prctl
from pytest_ipc.verdict.runner.speed import slowness

from ..conftest import succeeded

# A pid that is never assigned: the kernel's upper bound, PID_MAX_LIMIT, is 2**22.
NOBODY = 2**30

# Deadline in seconds for an event that must occur, on a platform for which deadlines are long enough as they are.
_SOON = 5.0
# The same on this platform, for system calls. A Deadline scales by itself.
SOON = _SOON * slowness()

CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def comes_true(condition: Callable[[], bool]) -> bool:
    """Return whether *condition* becomes true within the time in which what is sure to come has come."""
    return Deadline(_SOON).until(condition)


def normalise() -> None:
    """Give this process, a child, default dispositions and an empty mask."""
    for signo in CATCHABLE:
        signal.signal(signo, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class PlainFork(Fork):
    """Fork, for children that are normalised before their function starts."""

    def keeping(self, *fds: int) -> Callable[..., Child[Any]]:
        start = super().keeping(*fds)

        def start_plain(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Child[Any]:
            @wraps(function)
            def life(*args: Any, **kwargs: Any) -> Any:
                normalise()
                return function(*args, **kwargs)

            return start(life, *args, **kwargs)

        return start_plain


def bare_child(function: Callable[[], int]) -> int:
    """Call fork(2) directly, for a child of a child; return its pid. It exits with the result of *function*."""
    pid = os.fork()
    if pid:
        return pid
    status = 255
    try:
        status = function()
    finally:
        os._exit(status)


def adopt_orphans() -> None:
    """Make this process the subreaper of its descendants, so that it can wait for orphans, which otherwise go to
    init."""
    with suppress(OSError):
        prctl(PR_SET_CHILD_SUBREAPER, 1)


def take_uids(real: int, effective: int, saved: int) -> None:
    """Give this process, a child, these user ids. Only for tests with the fixture other_users."""
    os.setresuid(real, effective, saved)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user clears it


def leave_session(member: Child[Any]) -> None:
    """Make this process, a child, leader of a new session. As a group leader cannot, it joins *member*'s group
    first."""
    os.setpgid(0, os.getpgid(member.pid))
    os.setsid()


def become_program(source: str, *args: object) -> NoReturn:
    """Execute Python, which runs *source* with only the standard library (execve(2))."""
    os.execv(sys.executable, [sys.executable, "-P", "-S", "-c", source, *map(str, args)])


def printed(program: Child[Any]) -> str:
    """Return the output of a program that exits with status 0."""
    succeeded(program)
    return program.output.strip()


def add_thread() -> None:
    """Give this process, a child, a second thread that sleeps until the process exits."""
    started = Event()

    def sleep() -> None:
        started.set()
        pause()

    Thread(target=sleep, daemon=True).start()
    started.wait()


def limit_pending(soft: int) -> int:
    """Set the soft RLIMIT_SIGPENDING of this process, a child; return the previous one."""
    try:
        before, hard = getrlimit(RLIMIT_SIGPENDING)
        setrlimit(RLIMIT_SIGPENDING, (soft, hard))
    except (OSError, ValueError) as error:  # Python raises ValueError for some errnos
        untested(Need.PROCESS_LIMITS, f"needs to set its own RLIMIT_SIGPENDING: {error}")
    return before


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Return the result of *function* in another thread of this process."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()
