"""The reaper: a small process that outlives pytest for a moment, to end what a dead pytest could not.

It waits for the death of its owner, and of the owner's controller in a pytest-xdist worker, on pidfds: the end-of-file of a
pipe would be withheld by any child that holds the pipe. Then it sweeps the ledgers of its owner and of its owner's children.
It knows nothing but the ledgers, so that there is nothing to register and nothing to be acknowledged: an object on record
before the reaper has started is as safe as one after.

It is nobody's child (two forks), in a session of its own, deaf to signals, and imports the stdlib and this package alone.
A worker whose controller has died is ended, for it would run its test to the end and report to nobody.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from errno import EAGAIN, ENOENT
from itertools import chain, repeat

from .. import custody
from ..unpatched import os, select, signal
from .home import HomeError, home_path, open_home, pin
from .identity import Process, start_of
from .kinds import end_process

# How long what is dying may take, before it is left to the next run's sweep.
PATIENCE_MS = 5000


def start(owner: Process) -> None:
    """Start the reaper of *owner*, this process. OSError when it cannot be."""
    if not (sys.executable and os.access(sys.executable, os.X_OK)):
        raise OSError(ENOENT, "there is no Python to run the reaper with, so nothing is made", sys.executable or None)
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    source = f"import sys; sys.path.insert(0, {package!r}); from pytest_ipc.custody.reaper import main; main()"
    arguments = [str(owner.pid), str(owner.start), str(custody.controller), home_path()]
    command = [sys.executable, "-I", "-S", "-c", source, *arguments]
    environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: nothing runs in it but these lines
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            if os.fork() == 0:
                _let_go()
                os.execve(sys.executable, command, environment)
            status = 0
        finally:
            os._exit(status)
    with suppress(ChildProcessError):  # where SIGCHLD is ignored the kernel keeps no status
        if os.waitpid(child, 0)[1]:
            raise OSError(EAGAIN, "no process can be made to run the reaper, so nothing is made")


# How to find libc: no more than the sweep needs.
_PASSED_ON = {"PATH", "LD_LIBRARY_PATH"}


def _let_go() -> None:
    """Nothing of the owner's stays open or blocked in the reaper."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")


def main() -> None:
    """The reaper's life."""
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with suppress(OSError, ValueError):
            signal.signal(signo, signal.SIG_IGN)
    pid, start, controller = map(int, sys.argv[1:4])
    pin(sys.argv[4])
    owner = Process(pid, start)
    audience = Process(controller, start_of(controller) or 0)
    if _first_to_die(owner, audience) == "controller":
        end_process(owner.pid, lambda _pid: owner.alive())
        _wait_for_end(owner)
    _sweep_run(owner, audience)
    _see_words_read(owner, audience)


def _see_words_read(owner: Process, audience: Process) -> None:
    """Stay until the controller has read what was left for it; when it dies before it does, nobody will."""
    from .sweep import words_wait

    nothing = select.poll()
    for pause in chain(range(5, 1000, 5), repeat(1000)):
        dead = not audience.alive()
        try:
            if not words_wait(owner, take_back=dead):
                return
        except OSError:
            return
        nothing.poll(pause)


def _first_to_die(owner: Process, controller: Process) -> str:
    watched: dict[int, str] = {}
    poll = select.poll()
    for process, name in ((owner, "owner"), (controller, "controller")):
        if not process.pid:
            continue
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return name
        except (OSError, AttributeError):
            return _first_to_die_by_asking(owner, controller)
        if not process.alive():
            return name  # its pid had passed to another process before the pidfd was opened
        watched[fd] = name
        poll.register(fd, select.POLLIN)
    names = {watched[fd] for fd, _ in poll.poll()}
    return "owner" if "owner" in names else "controller"


def _first_to_die_by_asking(owner: Process, controller: Process) -> str:
    """Without pidfds: ask every twentieth of a second."""
    nothing = select.poll()
    while owner.alive():
        if controller.pid and not controller.alive():
            return "controller"
        nothing.poll(50)
    return "owner"


def _wait_for_end(process: Process) -> None:
    nothing = select.poll()
    for _ in range(PATIENCE_MS // 5):
        if not process.alive():
            return
        nothing.poll(5)


def _sweep_run(owner: Process, audience: Process) -> None:
    """Sweep until no ledger of the owner's run is left: its children die a moment after it.

    A word of what was done is left for the controller only if there is one to come for it.
    """
    from .reading import Refused, books, read
    from .sweep import sweep

    nothing = select.poll()
    dead_before: set[str] = set()
    for _ in range(PATIENCE_MS // 5):
        try:
            sweep(root=owner, word=audience.alive())
            home = open_home(create=False)
        except HomeError:
            return
        if home is None:
            return
        dead: set[str] = set()
        waiting = False
        try:
            for name in books(home):
                try:
                    book, fd = read(home, name)
                except (Refused, FileNotFoundError):
                    continue
                os.close(fd)
                if book.root in (owner, None):
                    if book.alive:
                        waiting = True
                    else:
                        dead.add(name)
        finally:
            os.close(home)
        # One that was alive when it was its turn and is dead now has not been swept yet.
        if not waiting and dead <= dead_before:
            return  # what is still there cannot be proved to be ours; `pytest-ipc sweep` names it
        dead_before = dead
        nothing.poll(5)
