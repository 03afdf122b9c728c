"""The sweep: end what dead processes have left, and only what is proved to be theirs.

Three come here: the reaper when its owner has died, the next run at its start, and `pytest-ipc sweep`. A ledger is swept under
a lock on its file, so that two who meet share the work: the second finds the file gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..kernel.waiting import Deadline
from ..unpatched import fcntl, io, json, os, time
from .descent import below
from .elsewhere import in_namespace
from .home import home_path, open_home
from .identity import Process
from .kinds import KINDS, UNKNOWN, Entry, Kind
from .machine import boot_id
from .namespaces import is_certain, is_here, process_in
from .reading import Book, Refused, ancestors, books, plain, process_of, read
from .search import ended_together, searching

__all__ = ["Swept", "settle", "sweep", "sweep_worker", "words_wait"]

WORD = ".swept"
PATIENCE = 5.0  # seconds that a sweep waits for others in all


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
        patience = Deadline(PATIENCE)
        children, writers = _processes(home, lambda book: _is_swept(book, root))
        with ended_together([] if dry_run else children, writers):
            for name in books(home):
                done.add(_sweep_one(home, name, dry_run=dry_run, root=root, word=word, patience=patience))
        if root is None and not dry_run:
            _forget_words(home)
    finally:
        os.close(home)
    return done


def settle(process: Process) -> Swept:
    """Sweep the ledgers of a process that has just died and of its descendants, as far as they have died with it."""
    done = Swept()
    home = open_home(create=False)
    if home is None:
        return done
    try:
        with searching(partial(below, "self")):  # what it started was below this process, and has ended with it
            for name in books(home):
                if process_of(name) == process or process in _ancestors(home, name):
                    done.add(_sweep_one(home, name, own=True))
    finally:
        os.close(home)
    return done


# By the name of a ledger, which no two have within a boot: looked up at the end of every child.
_known_ancestors: dict[str, frozenset[Process]] = {}


def _ancestors(home: int, name: str) -> frozenset[Process]:
    found = _known_ancestors.get(name)
    if found is None:
        try:
            found = ancestors(home, name)
        except (OSError, Refused):
            return frozenset()
        if found is None:
            return frozenset()
        if len(_known_ancestors) > 1000:
            _known_ancestors.clear()
        _known_ancestors[name] = found
    return found


def sweep_worker(run: str, worker: str) -> Swept:
    """Sweep the ledgers of one dead pytest-xdist worker, and take the word that its reaper has left if that was quicker."""
    done = Swept()
    home = open_home(create=False)
    if home is None:
        return done
    try:
        # Its children die a moment after it; and once their ledgers are gone, so is everything of which a word could come.
        with ended_together(*_processes(home, lambda book: (book.run, book.worker) == (run, worker))):
            Deadline(1.0).until(lambda: _sweep_books_of(home, run, worker, done))
        for name, word in _words(home):
            with suppress(FileNotFoundError, KeyError, TypeError):
                if (word["run"], word["worker"]) == (run, worker):
                    os.unlink(name, dir_fd=home)
                    done.add(Swept(word["removed"], word["left"]))
    finally:
        os.close(home)
    return done


def _is_swept(book: Book, root: Process | None) -> bool:
    """Whether the processes of a ledger are to be ended: of one run, which is dead, or of any that is dead."""
    if root is not None:
        return book.root == root
    if not book.alive:
        return True
    return not (book.foreign or book.is_elsewhere or book.root is None or book.root.alive(slack=1))


def _processes(home: int, wanted: Callable[[Book], bool]) -> tuple[list[Entry], set[tuple[int, int]]]:
    """The children on record in the ledgers that are *wanted*, and who has a ledger at all; of this boot and PID namespace."""
    children: list[Entry] = []
    writers: set[tuple[int, int]] = set()
    for name in books(home):
        with suppress(OSError, Refused):
            book, fd = read(home, name)
            os.close(fd)
            if book.boot == boot_id() and not (book.foreign or book.is_elsewhere):
                writers.add((book.process.pid, book.process.start))
                if wanted(book):
                    children += (entry for entry in book.open if entry.kind == "process")
    return children, writers


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
                done.add(_sweep_one(home, name, own=True))
    return all_dead


def _leave_word(home: int, book: Book, done: Swept) -> None:
    """For the controller, which writes the crash report and may find nothing left to sweep."""
    if done.removed or done.left:
        root = [book.root.pid, book.root.start] if book.root else None
        word = {"root": root, "run": book.run, "worker": book.worker, "removed": done.removed, "left": done.left}
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        half, whole = f".{book.name}.word", f".{book.name}{WORD}"  # it is read the moment it is there
        with suppress(OSError):
            with io.open(os.open(half, flags, 0o600, dir_fd=home), "w") as file:
                json.dump(word, file)
            os.rename(half, whole, src_dir_fd=home, dst_dir_fd=home)


def words_wait(root: Process, *, take_back: bool = False) -> bool:
    """Whether a word on a process of *root*'s run still waits for the controller; with *take_back* none does any more."""
    home = open_home(create=False)
    if home is None:
        return False
    try:
        mine = [name for name, word in _words(home) if word.get("root") == [root.pid, root.start]]
        for name in mine if take_back else ():
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=home)
        return bool(mine) and not take_back
    finally:
        os.close(home)


def _words(home: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every word that can be read, by the name of its file."""
    for name in os.listdir(home):
        if name.endswith(WORD):
            with suppress(OSError, ValueError, RecursionError):
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home)
                with io.open(fd) as file:
                    word = json.load(file)
                if isinstance(word, dict):
                    yield name, word


def _forget_words(home: int) -> None:
    """Words of runs that are over, which nobody came for."""
    for name in os.listdir(home):
        if name.endswith(WORD):
            with suppress(FileNotFoundError):
                if os.stat(name, dir_fd=home, follow_symlinks=False).st_mtime < time.time() - 3600:
                    os.unlink(name, dir_fd=home)


def _sweep_one(
    home: int,
    name: str,
    *,
    dry_run: bool = False,
    root: Process | None = None,
    word: bool = False,
    own: bool = False,
    patience: Deadline | None = None,
) -> Swept:
    """Sweep one ledger, if its writer is dead; of one run, if *root* is given. *own* says that it is this process's run."""
    done, own = Swept(), own or root is not None
    try:
        book, fd = read(home, name)
        try:
            if root is not None and book.root not in (root, None):
                return done
            if book.alive:
                if root is None and book.open and (reason := book.unjudged):
                    done.left.append(plain(f"{_summary(book)}: whether it lives cannot be known from here: {reason}"))
                return done
            if dry_run:
                _end_all(book, done, dry_run=True, own=own)
            elif not _lock(fd, patience or Deadline(PATIENCE)):
                done.left.append(f"{home_path()}/{name}: another sweep holds it")
            else:
                _sweep_held(home, name, fd, done, word=word, own=own)
        finally:
            os.close(fd)
    except FileNotFoundError:
        pass
    except Refused as refusal:
        done.refused.append(f"{home_path()}/{refusal}")
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        done.left.append(f"{home_path()}/{name}: {error.strerror}")
    return done


def _sweep_held(home: int, name: str, held: int, done: Swept, *, word: bool, own: bool) -> None:
    """Sweep a ledger whose writer is dead, under the lock on its file; *own* if it is of this process's run."""
    # It is read again: its writer may have written more between the first look and its death, perhaps to a new file, and
    # another sweep may have been through it. FileNotFoundError says that this one is done.
    book, fd = read(home, name)
    try:
        if not os.path.sameopenfile(fd, held):
            return  # the next sweep's
        _end_all(book, done, dry_run=False, own=own)
        if word and book.run:
            _leave_word(home, book, done)
        if not (done.left or done.refused):
            with suppress(FileNotFoundError):
                os.unlink(f".{name}", dir_fd=home)  # the new one, if its writer died while it was about to replace this
            os.unlink(name, dir_fd=home)
    finally:
        os.close(fd)


def _end_all(book: Book, done: Swept, *, dry_run: bool, own: bool) -> None:
    for entry in book.open:
        _end(book, entry, done, dry_run=dry_run, own=own)
    if book.doubt:
        done.refused.append(f"{home_path()}/{book.doubt}")


def _lock(fd: int, patience: Deadline) -> bool:
    def locked() -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return patience.until(locked)


def _end(book: Book, entry: Entry, done: Swept, *, dry_run: bool, own: bool) -> None:
    kind = KINDS.get(entry.kind, UNKNOWN)
    text = plain(f"{kind.describe(entry)}{_made_by(book, entry)}")
    if kind is UNKNOWN:
        done.left.append(text)
        return
    if book.boot != boot_id():
        if not kind.lasting:
            return
        if entry.made is not None:
            entry.made["dev"] = _device_of(entry.details["path"])  # the numbers of devices are given anew at each boot
    try:
        outcome = _outcome(kind, book, entry, dry_run=dry_run, own=own)
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        outcome = ["left", error.strerror or str(error)]
    match outcome:
        case ["removed"]:
            done.removed.append(text)
        case ["left", doubt]:
            done.left.append(f"{text}: {plain(doubt)}")


def _outcome(kind: Kind, book: Book, entry: Entry, *, dry_run: bool, own: bool) -> list[str]:
    """End one object where it is: "removed", "left" and why, or nothing. OSError."""
    if book.is_elsewhere:
        if entry.kind == "process":
            # A PID namespace takes its processes along.
            gone = process_in(book.pids, below=own) is None
            return [] if gone else ["left", f"it is in {book.pids}; sweep from within"]
        entry.pid = -1  # the number says nothing here
    where = entry.details["ipc"] if "ipc" in kind.needs else ""
    here = not where or is_here(where)
    if not (not where or is_certain(where) or (here and own) or kind.is_unique(entry)):
        if process_in(where, below=own) is None:
            return []
        return [
            "left",
            f"whether {where} is the namespace that it was made in, or a later one, this kernel does not say",
        ]
    if here:
        return _look_and_end(kind, entry, dry_run=dry_run)
    try:
        return in_namespace(where, lambda: _look_and_end(kind, entry, dry_run=dry_run), below=own)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"it is in {where}; sweep from within: {error.strerror}") from None


def _look_and_end(kind: Kind, entry: Entry, *, dry_run: bool) -> list[str]:
    """End one object, if it is there and is ours: "removed", "left" and why, or nothing. OSError."""
    found = kind.find(entry)
    if found is None:
        return []
    doubt = kind.prove(entry, found)
    if doubt is not None:
        return ["left", doubt]
    if not dry_run:
        kind.remove(entry, found)
    return ["removed"]


def _device_of(path: str) -> int:
    try:
        return os.lstat(path).st_dev
    except OSError:
        return 0


def _summary(book: Book) -> str:
    """What a ledger has open, in one line: the first objects by name."""
    names = [KINDS.get(entry.kind, UNKNOWN).describe(entry) for entry in book.open[:3]]
    if more := len(book.open) - len(names):
        names.append(f"{more} more")
    worker = f" (worker {book.worker})" if book.worker else ""
    return f"{', '.join(names)} of process {book.process.pid}{worker} in {book.name}"


def _made_by(book: Book, entry: Entry) -> str:
    test = f" by {entry.test}" if entry.test else ""
    return f", made{test} in process {book.process.pid}"
