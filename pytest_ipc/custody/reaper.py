"""The reaper: a small process that outlives pytest briefly and removes the objects of a dead pytest.

It waits on pidfds for the death of its owner, and in a pytest-xdist worker also of the controller; a pipe would not do,
as any child that holds it delays the end of file. Then it sweeps the ledgers of its owner and its owner's children. It
reads only the ledgers, so objects need no registration. Its owner waits until it watches (start_reaper.py).

It is orphaned by a second fork, runs in its own session, ignores signals, and imports only the stdlib and this package.
It kills a worker whose controller has died, as the worker's reports have no receiver.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from itertools import chain, count, repeat

from ..unpatched import os, select, signal
from .descendants import signal_process
from .format import LEDGER, READY
from .identity import Process, start_of
from .parse import Refused, ledger_names, read
from .private_folder import Identity
from .search import note_below
from .state_dir import StateDirError, hold, pin, state_dirs

# Interval in which it records its owner's descendants: the only proof for one that loses its tag and then its parent.
LOOK_MS = 1000

# Time for processes to die, before their ledgers are left to the next run's sweep.
PATIENCE_MS = 5000


def main() -> None:
    """Run the reaper, as a child of the process started for it: PID START CONTROLLER DIRECTORY..."""
    be_deaf()
    watch = Watch()
    # The owner waits for this process only; the reaper must be an orphan.
    if os.fork():
        os._exit(0)
    from . import sweep  # noqa: F401 - a failing import must be known before an object is created

    gc.collect()  # what the imports leave is 0.5 MB, for as long as the owner lives
    with suppress(OSError):
        os.write(2, READY)  # the owner may have died, or given up
    os.dup2(1, 2)
    watch.live()


def be_deaf() -> None:
    """Ignore every signal that can be ignored, as a signal to the process group is not meant for the reaper."""
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with suppress(OSError, ValueError):  # reserved by libc
            signal.signal(signo, signal.SIG_IGN)


class Watch:
    """The watch over the owner and its controller, from the arguments PID START CONTROLLER DIRECTORY..."""

    def __init__(self) -> None:
        pid, start, controller = map(int, sys.argv[1:4])
        pin(*sys.argv[4:])
        hold()
        self.owner: Process = Process(pid, start)
        self.controller: Process = Process(controller, start_of(controller) or 0)
        self._dead = ""  # "owner" or "controller", if it was already dead
        self._watched: dict[int, str] = {}
        self._asks = False
        for process, name in ((self.owner, "owner"), (self.controller, "controller")):
            if process.pid and not self._dead:
                self._watch(process, name)

    def _watch(self, process: Process, name: str) -> None:
        try:
            self._watched[os.pidfd_open(process.pid)] = name
        except ProcessLookupError:
            self._dead = name
        except (OSError, AttributeError):  # an old kernel or a seccomp filter
            self._asks = True
        else:
            if not process.may_live():
                self._dead = name  # its pid was reused before the pidfd was opened

    def live(self) -> None:
        """Wait for a death, then remove the leftovers."""
        if self._first_to_die() == "controller":
            signal_process(self.owner.pid, lambda _pid: self.owner.may_live())
            _wait_for_end(self.owner)
        _sweep_run(self.owner, self.controller)
        _wait_for_controller(self.owner, self.controller)

    def _first_to_die(self) -> str:
        if self._dead:
            return self._dead
        if self._asks:
            return self._ask()
        poll = select.poll()
        for fd in self._watched:
            poll.register(fd, select.POLLIN)
        while not (events := poll.poll(LOOK_MS)):
            note_below(self.owner.pid)
        names = {self._watched[fd] for fd, _ in events}
        return "owner" if "owner" in names else "controller"

    def _ask(self) -> str:
        """Poll every 50 ms, without pidfds."""
        nothing = select.poll()
        for asked in count(1):
            if not self.owner.may_live():
                break
            if self.controller.pid and not self.controller.may_live():
                return "controller"
            if asked % (LOOK_MS // 50) == 0:
                note_below(self.owner.pid)
            nothing.poll(50)
        return "owner"


def _wait_for_controller(owner: Process, controller: Process) -> None:
    """Wait until the controller has read the result files; remove them if it dies first."""
    from .result_files import results_pending

    nothing = select.poll()
    for pause in chain(range(5, 1000, 5), repeat(1000)):
        dead = not controller.alive()
        try:
            if not results_pending(owner, take_back=dead):
                return
        except OSError:
            return
        nothing.poll(pause)


def _wait_for_end(process: Process) -> None:
    nothing = select.poll()
    for _ in range(PATIENCE_MS // 5):
        if not process.alive():
            return
        nothing.poll(5)


def _sweep_run(owner: Process, controller: Process) -> None:
    """Sweep until no ledger of the owner's run remains, as its children die shortly after it.

    Result files are written only if the controller is alive.
    """
    from .sweep import sweep, sweep_lost

    nothing = select.poll()
    dead_before: set[tuple[str, str]] = set()
    swept: set[Identity] = set()
    for _ in range(PATIENCE_MS // 5):
        try:
            swept |= sweep(root=owner, report=controller.alive()).ledgers
            dead, waiting = _ledgers_of(owner)
        except StateDirError:
            break
        # A process may have died after the sweep had skipped its ledger as alive.
        if not waiting and dead <= dead_before:
            break  # the rest cannot be verified; `pytest-ipc sweep` lists it
        dead_before = dead
        nothing.poll(5)
    with suppress(OSError, Refused):  # the ledger is invalid, and the reaper has no output
        sweep_lost(LEDGER, owner, swept)


def _ledgers_of(owner: Process) -> tuple[set[tuple[str, str]], bool]:
    """Return the ledgers of the owner's dead processes, and whether others are alive. Raises StateDirError."""
    dead: set[tuple[str, str]] = set()
    waiting = False
    for state_dir in state_dirs([]):
        for name in ledger_names(state_dir.fd):
            try:
                ledger, fd = read(state_dir.fd, name)
            except (Refused, FileNotFoundError):
                continue
            os.close(fd)
            if ledger.root in (owner, None):
                if ledger.alive:
                    waiting = True
                else:
                    dead.add((state_dir.path, name))
    return dead, waiting
