"""Children to try signals and processes in: as plain as new ones, whatever pytest was started with."""

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

from pytest_ipc import Child, Fork, untested
from pytest_ipc.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, pause, prctl
from pytest_ipc.verdict.runner.speed import slowness

from ..conftest import succeeded

# A pid that is never given out: the kernel's own bound, PID_MAX_LIMIT, is 2**22.
NOBODY = 2**30

# Seconds within which what is sure to come has come.
SOON = 5.0 * slowness()

CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def normalise() -> None:
    """Give this process, a child, default dispositions and an empty mask."""
    for signo in CATCHABLE:
        signal.signal(signo, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class PlainFork(Fork):
    """Fork, for children that are normalised before their function begins."""

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
    """fork(2) and nothing else, for what an actor arranges for itself: the pid of a child that leaves with *function*'s number."""
    pid = os.fork()
    if pid:
        return pid
    status = 255
    try:
        status = function()
    finally:
        os._exit(status)


def adopt_orphans() -> None:
    """Have the orphans of this process's children given to this process, so that it can wait for them; init gets them elsewhere."""
    with suppress(OSError):
        prctl(PR_SET_CHILD_SUBREAPER, 1)


def take_uids(real: int, effective: int, saved: int) -> None:
    """Give this process, a child, these user ids. For tests that asked for other_users."""
    os.setresuid(real, effective, saved)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user has cleared it


def leave_session(member: Child[Any]) -> None:
    """Make this process, a child, leader of a new session. A group's leader may not be one, so it joins *member*'s group first."""
    os.setpgid(0, os.getpgid(member.pid))
    os.setsid()


def become_program(source: str, *args: object) -> NoReturn:
    """execve(2): Python, running *source* with the standard library and nothing else."""
    os.execv(sys.executable, [sys.executable, "-P", "-S", "-c", source, *map(str, args)])


def printed(program: Child[Any]) -> str:
    """What a program that leaves with status 0 wrote to its output."""
    succeeded(program)
    return program.output.strip()


def add_thread() -> None:
    """Give this process, a child, a second thread, which sleeps until the process ends."""
    started = Event()

    def sleep() -> None:
        started.set()
        pause()

    Thread(target=sleep, daemon=True).start()
    started.wait()


def limit_pending(soft: int) -> int:
    """Set the soft RLIMIT_SIGPENDING of this process, a child; the one before."""
    try:
        before, hard = getrlimit(RLIMIT_SIGPENDING)
        setrlimit(RLIMIT_SIGPENDING, (soft, hard))
    except (OSError, ValueError) as error:  # ValueError is what Python makes of some errnos
        untested(f"needs to set its own RLIMIT_SIGPENDING: {error}")
    return before


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """What *function* returns in another thread of this process."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()
