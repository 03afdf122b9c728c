"""The sweep: end what dead processes have left, and only what is proved to be theirs.

Three come here: the reaper when its owner has died, the next run at its start, and `pytest-ipc sweep`. A ledger is swept under
a lock on its file, so that two who meet share the work: the second finds the file gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field

from ..kernel.waiting import Deadline
from .home import home_path, open_home
from .identity import Process, boot_id, ipc_namespace
from .kinds import KINDS, Entry
from .reading import Book, Refused, books, read

__all__ = ["Swept", "settle", "sweep", "sweep_worker"]

WORD = ".swept"
PATIENCE = 5.0  # seconds that another sweep may take with a ledger


@dataclass
class Swept:
    """What a sweep did: `removed` and, where it was not sure or not able, `left` and `refused`, each a line."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, other: Swept) -> None:
        """Join what another sweep did."""
        self.removed += other.removed
        self.left += other.left
        self.refused += other.refused


def sweep(*, dry_run: bool = False, root: Process | None = None, word: bool = False) -> Swept:
    """Sweep every ledger whose process has died; of one run's processes only, if *root* is given. HomeError.

    With *word*, what was done is written down for the controller of a worker.
    """
    done = Swept()
    home = open_home(create=False)
    if home is None:
        return done
    try:
        for name in books(home):
            done.add(_sweep_one(home, name, dry_run=dry_run, root=root, word=word))
        if root is None and not dry_run:
            _forget_words(home)
    finally:
        os.close(home)
    return done


def settle(process: Process) -> Swept:
    """Sweep the ledger of one process that has just died, if it had one."""
    home = open_home(create=False)
    if home is None:
        return Swept()
    try:
        return _sweep_one(home, f"{process.pid}-{process.start}.ledger", dry_run=False, root=None)
    finally:
        os.close(home)


def sweep_worker(run: str, worker: str) -> Swept:
    """Sweep the ledgers of one dead pytest-xdist worker, and take the word that its reaper has left if that was quicker."""
    done = Swept()
    home = open_home(create=False)
    if home is None:
        return done
    try:
        # Its children die a moment after it; and once their ledgers are gone, so is everything of which a word could come.
        Deadline(1.0).until(lambda: _sweep_books_of(home, run, worker, done))
        for name in os.listdir(home):
            if name.endswith(WORD):
                with suppress(FileNotFoundError, ValueError, KeyError):
                    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home)
                    with open(fd) as file:
                        word = json.load(file)
                    if (word["run"], word["worker"]) == (run, worker):
                        os.unlink(name, dir_fd=home)
                        done.add(Swept(word["removed"], word["left"]))
    finally:
        os.close(home)
    return done


def _sweep_books_of(home: int, run: str, worker: str, done: Swept) -> bool:
    """Sweep the ledgers of a worker and its children; whether all of them were dead."""
    done.left, done.refused = [], []  # what was left the last time is looked at again
    all_dead = True
    for name in books(home):
        with suppress(FileNotFoundError, Refused):
            book, fd = read(home, name)
            os.close(fd)
            if (book.run, book.worker) == (run, worker):
                all_dead = all_dead and not book.alive
                done.add(_sweep_one(home, name, dry_run=False, root=None))
    return all_dead


def _leave_word(home: int, book: Book, done: Swept) -> None:
    """For the controller, which writes the crash report and may find nothing left to sweep."""
    if done.removed or done.left:
        word = {"run": book.run, "worker": book.worker, "removed": done.removed, "left": done.left}
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError), open(os.open(f".{book.name}{WORD}", flags, 0o600, dir_fd=home), "w") as file:
            json.dump(word, file)


def _forget_words(home: int) -> None:
    """Words of runs that are over, which nobody came for."""
    for name in os.listdir(home):
        if name.endswith(WORD):
            with suppress(FileNotFoundError):
                if os.stat(name, dir_fd=home, follow_symlinks=False).st_mtime < time.time() - 3600:
                    os.unlink(name, dir_fd=home)


def _sweep_one(home: int, name: str, *, dry_run: bool, root: Process | None, word: bool = False) -> Swept:
    done = Swept()
    try:
        book, fd = read(home, name)
    except FileNotFoundError:
        return done
    except Refused as refusal:
        done.refused.append(f"{home_path()}/{refusal}")
        return done
    try:
        if (root is not None and book.root not in (root, None)) or book.alive:
            return done
        if not dry_run:
            if not _lock(fd):
                done.left.append(f"{home_path()}/{name}: another sweep has held it for {PATIENCE} s")
                return done
            try:
                os.stat(name, dir_fd=home)
            except FileNotFoundError:
                return done  # somebody else was here first, and is done
        for entry in book.open:
            _end(book, entry, done, dry_run=dry_run)
        done.refused += [f"{home_path()}/{name}: no record: {line!r}" for line in book.unreadable]
        if word and book.run:
            _leave_word(home, book, done)
        if not (dry_run or done.left or done.refused):
            with suppress(FileNotFoundError):
                os.unlink(f".{name}", dir_fd=home)  # the new one, if its writer died while it was about to replace this
            os.unlink(name, dir_fd=home)
    finally:
        os.close(fd)
    return done


def _lock(fd: int) -> bool:
    def locked() -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return Deadline(PATIENCE).until(locked)


def _end(book: Book, entry: Entry, done: Swept, *, dry_run: bool) -> None:
    kind = KINDS.get(entry.kind)
    if kind is None:
        done.left.append(f"an object of unknown kind {entry.kind!r}{_made_by(book, entry)}")
        return
    text = f"{kind.describe(entry)}{_made_by(book, entry)}"
    if book.boot != boot_id() and entry.kind != "fifo":
        return  # nothing but files outlives the machine
    if entry.kind == "sysv-shm" and entry.details["ipc"] != ipc_namespace():
        if _namespace_lives(entry.details["ipc"]):
            done.left.append(f"{text}: it is in another IPC namespace, {entry.details['ipc']}; sweep from within")
        return
    try:
        found = kind.find(entry)
        if found is None:
            return
        doubt = kind.prove(entry, found)
        if doubt is not None:
            done.left.append(f"{text}: {doubt}")
            return
        if not dry_run:
            kind.remove(entry, found)
        done.removed.append(text)
    except OSError as error:
        done.left.append(f"{text}: {error.strerror}")


def _made_by(book: Book, entry: Entry) -> str:
    test = f" by {entry.test}" if entry.test else ""
    return f", made{test} in process {book.process.pid}"


def _namespace_lives(ipc: str) -> bool:
    """Whether any process that can be seen is in that IPC namespace; without one, the kernel has cleared it."""
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if os.readlink(f"/proc/{pid}/ns/ipc") == ipc:
                    return True
            except OSError:
                continue
    return False
