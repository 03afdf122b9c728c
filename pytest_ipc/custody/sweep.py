"""The sweep: remove the objects of dead processes, and only objects proven to be theirs.

Three callers sweep: the reaper after its owner's death, the next run at its start, and `pytest-ipc sweep`. A ledger is
swept under a lock on its file, so of two concurrent sweeps the second finds the file gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from ..kernel.waiting import Deadline
from ..unpatched import os, time
from .descendants import below
from .identity import Process
from .kinds import KINDS, UNKNOWN, Entry
from .machine import boot_id
from .parse import ParsedLedger, Refused, ancestors, ledger_names, process_of, read, read_from, run_of
from .private_folder import Identity, identity_of, same_entry
from .removal import Swept, end_all
from .result_files import remove_stale_results, take_results, write_result
from .search import ended_together, searching
from .state_dir import StateDir, StateDirError, as_owner, state_dirs
from .state_paths import owner

__all__ = ["settle", "sweep", "sweep_lost", "sweep_worker"]

_STALE = 86_400.0  # seconds after which an empty ledger of a process that cannot be judged is removed
PATIENCE = 5.0  # total seconds that a sweep waits for the locks of others


def sweep(*, dry_run: bool = False, root: Process | None = None, report: bool = False) -> Swept:
    """Sweep every ledger of a dead process, in all state directories; with *root*, of its run only.

    With *report*, write result files for the controller of a worker. Raises StateDirError if the current state
    directory cannot be used.
    """
    done, patience = Swept(), Deadline(PATIENCE)
    refused: list[str] = []
    children, writers = _processes(lambda ledger: _is_swept(ledger, root))
    with ended_together(children, writers, dry_run=dry_run):
        for state_dir in state_dirs(refused):
            done.places.append(state_dir.path)
            for name in ledger_names(state_dir.fd):
                done.add(_sweep_one(state_dir, name, dry_run=dry_run, root=root, report=report, patience=patience))
            if root is None and not dry_run:
                remove_stale_results(state_dir)
    for text in refused if root is None else ():
        done.refuse(text)
    return done


def settle(process: Process) -> Swept:
    """Sweep the ledgers of a process that has just died and of its dead descendants. Raises StateDirError.

    Do nothing in a process that has become another user permanently; the reaper sweeps then.
    """
    done = Swept()
    with as_owner(), searching(partial(below, "self")):  # its descendants are below this process
        try:
            for state_dir in state_dirs([]):
                for name in sorted(_ledgers_of(process, state_dir.fd)):
                    done.add(_sweep_one(state_dir, name, own=True))
        except StateDirError:
            if os.geteuid() == owner():
                raise
    return done


def sweep_lost(fd: int, owner: Process, swept: Collection[Identity]) -> Swept:
    """Sweep the ledger of *owner*, open as *fd*, if no directory has it any more and it was not *swept*.

    Raises OSError.
    """
    done = Swept()
    name, identity = f"{owner.pid}-{owner.start}.ledger", identity_of(os.fstat(fd))
    if identity in swept:
        return done
    for state_dir in state_dirs([]):
        for entry in ledger_names(state_dir.fd):
            with suppress(FileNotFoundError):  # it is gone meanwhile
                if same_entry(state_dir.fd, entry, identity):
                    return done
    ledger = read_from(fd, name)
    if ledger.root == owner:
        with ended_together([entry for entry in ledger.open if entry.kind == "process"], ()):
            end_all(StateDir("a removed directory", -1), ledger, done, dry_run=False, own=True)
    return done


# The names of the ledgers whose headers were read, and of those below each process; a name is unique within a boot. The
# end of every child looks here, while there may be many other ledgers.
_indexed: set[str] = set()
_below: dict[Process, set[str]] = {}


def _ledgers_of(process: Process, state_dir: int) -> set[str]:
    """Return the names of the ledgers of *process* and of its descendants."""
    there = set(os.listdir(state_dir))
    if len(_indexed) > 1000:
        _indexed.clear()
        _below.clear()
    found = set()
    for name in there - _indexed:
        own, above = process_of(name), None
        if own is None:
            _indexed.add(name)
            continue
        with suppress(OSError, Refused):  # it is gone meanwhile, or invalid
            above = ancestors(state_dir, name)
        if above is not None:  # its header is complete
            _indexed.add(name)
            for each in (own, *above):
                _below.setdefault(each, set()).add(name)
        elif own == process:
            found.add(name)
    return found | there & _below.get(process, set())


def sweep_worker(run: str, worker: str) -> Swept:
    """Sweep the ledgers of a dead pytest-xdist worker; add the result files if its reaper was faster."""
    done = Swept()
    for state_dir in state_dirs([]):
        # Its children die shortly after it. Read the result files only once their ledgers are gone.
        here = Swept()
        with ended_together(*_processes(lambda ledger: (ledger.run, ledger.worker) == (run, worker), state_dir)):
            Deadline(1.0).until(lambda: _sweep_worker_in(state_dir, run, worker, here))  # noqa: B023 - called at once
        done.add(here)
        for removed, left in take_results(state_dir, run, worker):
            done.add(Swept(removed, left))
    return done


def _is_swept(ledger: ParsedLedger, root: Process | None) -> bool:
    """Return whether the children of a ledger are to be killed: of *root*'s run, or of any dead run."""
    if root is not None:
        return ledger.root == root
    if not ledger.alive:
        return True
    return not (ledger.foreign or ledger.is_remote or ledger.root is None or ledger.root.may_live(slack=1))


def _processes(wanted: Callable[[ParsedLedger], bool], *only: StateDir) -> tuple[list[Entry], set[tuple[int, int]]]:
    """Return the recorded children of the *wanted* ledgers, and all ledgers' writers, of this PID namespace."""
    children: list[Entry] = []
    writers: set[tuple[int, int]] = set()
    for state_dir in only or state_dirs([]):
        for name in ledger_names(state_dir.fd):
            with suppress(OSError, Refused):  # it is gone meanwhile, or invalid, which _sweep_one() reports
                ledger, fd = read(state_dir.fd, name)
                os.close(fd)
                if ledger.boot == boot_id() and not (ledger.foreign or ledger.is_remote):
                    writers.add((ledger.process.pid, ledger.process.start))
                    if wanted(ledger):
                        children += (entry for entry in ledger.open if entry.kind == "process")
    return children, writers


def _sweep_worker_in(state_dir: StateDir, run: str, worker: str, done: Swept) -> bool:
    """Sweep the ledgers of a worker and its children. Return whether all of them were dead."""
    done.left, done.refused = [], []  # remaining objects are examined again
    all_dead = True
    for name in ledger_names(state_dir.fd):
        with suppress(FileNotFoundError, Refused):  # it is gone meanwhile, or invalid, and so of no known worker
            ledger, fd = read(state_dir.fd, name)
            os.close(fd)
            if (ledger.run, ledger.worker) == (run, worker):
                all_dead = all_dead and not ledger.alive
                done.add(_sweep_one(state_dir, name, own=True))
    return all_dead


def _sweep_one(
    state_dir: StateDir,
    name: str,
    *,
    dry_run: bool = False,
    root: Process | None = None,
    report: bool = False,
    own: bool = False,
    patience: Deadline | None = None,
) -> Swept:
    """Sweep one ledger if its process is dead, with *root* only of its run; *own* means this process's run."""
    done, own = Swept(), own or root is not None
    try:
        ledger, fd = read(state_dir.fd, name)
        try:
            if root is not None and ledger.root not in (root, None):
                return done
            if ledger.alive:
                if root is None and not ledger.open and not dry_run and ledger.unjudged and _is_stale(fd):
                    os.unlink(name, dir_fd=state_dir.fd)  # a living process would write a new one
                elif root is None and ledger.open and (reason := ledger.unjudged):
                    summary = f"{_summary(ledger)} in {state_dir.path}"
                    done.leave(f"{summary}: whether it is alive cannot be determined here: {reason}")
                return done
            if dry_run:
                end_all(state_dir, ledger, done, dry_run=True, own=own)
            elif not _lock(fd, patience or Deadline(PATIENCE)):
                done.leave(f"{state_dir.path}/{name}: another sweep holds it")
            else:
                _sweep_held(state_dir, name, fd, done, report=report, own=own)
        finally:
            os.close(fd)
            if done.removed or done.left:
                done.by_run[run_of(ledger)] = (list(done.removed), list(done.left))
    except FileNotFoundError:  # another sweep has removed it
        pass
    except Refused as refusal:
        done.refuse(f"{state_dir.path}/{refusal}")
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        done.leave(f"{state_dir.path}/{name}: {error.strerror}")
    return done


def _is_stale(fd: int) -> bool:
    """Return whether nobody has written to the ledger for a day."""
    return time.clock_gettime(time.CLOCK_REALTIME) - os.fstat(fd).st_mtime > _STALE


def _sweep_held(state_dir: StateDir, name: str, held: int, done: Swept, *, report: bool, own: bool) -> None:
    """Sweep the ledger of a dead process under the lock on its file, open as *held*."""
    # Read it again: its process may have written more before its death, perhaps to a new file, or another sweep may
    # have removed it (FileNotFoundError).
    ledger, fd = read(state_dir.fd, name)
    try:
        if not os.path.sameopenfile(fd, held):
            return  # replaced: left to the next sweep
        end_all(state_dir, ledger, done, dry_run=False, own=own)
        if report and ledger.run:
            write_result(state_dir, ledger, done.removed, done.left)
        if not (done.left or done.refused):
            with suppress(FileNotFoundError):  # its writer has replaced no ledger
                os.unlink(
                    f".{name}", dir_fd=state_dir.fd
                )  # the new one, if its writer died while it was about to replace this
            os.unlink(name, dir_fd=state_dir.fd)
            done.ledgers.add(identity_of(os.fstat(held)))
    finally:
        os.close(fd)


def _lock(fd: int, patience: Deadline) -> bool:
    # The stdlib's flock() retries after EINTR, forever if the kernel keeps returning it. This one needs ctypes.
    from ..kernel.locks import LOCK_EX, LOCK_NB, flock

    def locked() -> bool:
        try:
            flock(fd, LOCK_EX | LOCK_NB)
        except (BlockingIOError, InterruptedError):
            return False
        return True

    return patience.until(locked)


def _summary(ledger: ParsedLedger) -> str:
    """Return a line on the open records of a ledger: the first objects by name, and its process."""
    names = [KINDS.get(entry.kind, UNKNOWN).describe(entry) for entry in ledger.open[:3]]
    if more := len(ledger.open) - len(names):
        names.append(f"{more} more")
    worker = f" (worker {ledger.worker})" if ledger.worker else ""
    return f"{', '.join(names)} of process {ledger.process.pid}{worker}"
