"""The reaper: a small process that outlives pytest for a moment, to remove what a dead pytest could not.

It waits for the death of its owner, and of the owner's controller in a pytest-xdist worker, on pidfds: the end-of-file of a
pipe would be withheld by any child that holds the pipe. Then it sweeps the ledgers of its owner and of its owner's children.
It knows nothing but the ledgers, so that there is nothing to register. Its owner waits until it watches (start_reaper.py).

It is nobody's child (a second fork), in a session of its own, deaf to signals, and imports the stdlib and this package alone.
A worker whose controller has died is ended, for it would run its test to the end and report to nobody.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import chain, count, repeat

from ..unpatched import os, select, signal
from .descendants import signal_process
from .identity import Process, start_of
from .parse import Refused, ledger_names, read
from .search import note_below
from .start_reaper import LEDGER, READY
from .state_dir import StateDirError, hold, pin, state_dirs

# How often it takes note of what is below its owner. What has lost its tag and then its parent can be proven by that alone.
LOOK_MS = 1000

# How long what is dying may take, before it is left to the next run's sweep.
PATIENCE_MS = 5000


def main() -> None:
    """The reaper's program: PID START CONTROLLER HOME. Leave the process that was started for it, and live on as its child."""
    be_deaf()
    watch = Watch()
    # Whoever started this process waits for it, and for it only: the reaper is to be nobody's child.
    if os.fork():
        os._exit(0)
    from . import sweep  # noqa: F401 - what cannot be imported is to be known before an object is made

    with suppress(OSError):
        os.write(2, READY)  # the owner may have died, or given up
    os.dup2(1, 2)
    watch.live()


def be_deaf() -> None:
    """Ignore every signal that can be ignored: who ends a process group does not mean the reaper."""
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with suppress(OSError, ValueError):
            signal.signal(signo, signal.SIG_IGN)


class Watch:
    """The watch over the owner and its controller, from the command line: PID START CONTROLLER HOME."""

    def __init__(self) -> None:
        pid, start, controller = map(int, sys.argv[1:4])
        pin(*sys.argv[4:])
        hold()
        self.owner: Process = Process(pid, start)
        self.controller: Process = Process(controller, start_of(controller) or 0)
        self._dead = ""  # whose death was noticed at once
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
        except (OSError, AttributeError):  # an old kernel, a sandbox's filter
            self._asks = True
        else:
            if not process.may_live():
                self._dead = name  # its pid had passed to another process before the pidfd was opened

    def live(self) -> None:
        """Wait for a death, then end what is left."""
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
        """Without pidfds: ask every twentieth of a second."""
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


def _wait_for_controller(owner: Process, audience: Process) -> None:
    """Stay until the controller has read what was left for it; when it dies before it does, nobody will."""
    from .result_files import results_pending

    nothing = select.poll()
    for pause in chain(range(5, 1000, 5), repeat(1000)):
        dead = not audience.alive()
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


def _sweep_run(owner: Process, audience: Process) -> None:
    """Sweep until no ledger of the owner's run is left: its children die a moment after it.

    A word of what was done is left for the controller only if there is one to come for it.
    """
    from .sweep import sweep, sweep_lost

    nothing = select.poll()
    dead_before: set[tuple[str, str]] = set()
    for _ in range(PATIENCE_MS // 5):
        try:
            sweep(root=owner, word=audience.alive())
            dead, waiting = _ledgers_of(owner)
        except StateDirError:
            break
        # One that was alive when it was its turn and is dead now has not been swept yet.
        if not waiting and dead <= dead_before:
            break  # what is still there cannot be proved to be ours; `pytest-ipc sweep` names it
        dead_before = dead
        nothing.poll(5)
    with suppress(OSError, Refused):
        sweep_lost(LEDGER, owner)


def _ledgers_of(owner: Process) -> tuple[set[tuple[str, str]], bool]:
    """The ledgers of the owner's run whose processes have died, and whether others live. StateDirError."""
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
