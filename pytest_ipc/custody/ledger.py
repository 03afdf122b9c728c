"""The ledger: a file of the objects that this process is about to create, has created and has removed.

One file per process, one line per record, one append per line:

    pytest-ipc 2 {"pid": …}          header: the process that writes
    @ "tests/test_it.py::test_one"   the test that creates the following objects
    + 7 sysv-shm {"key": …}          intent: about to create object 7
    = 7 {"id": …}                    identity: object 7 exists
    - 7                              object 7 is gone, or was never created

An append is in the file once write(2) returns, whatever happens to the process. A line truncated by its death is
ignored, and the object is found by its intent. The file is not synced to disk: a crash of the machine takes most
objects, too. It is truncated when no record is open, and rewritten with the open records when it has grown, so it does
not grow with the run.
"""

from __future__ import annotations

import atexit
from _thread import RLock
from errno import EINVAL, EISDIR, ENOSYS, ENOTSUP, EOPNOTSUPP
from itertools import count
from typing import Any

from ..unpatched import json, os, time
from .cleanup import failures_ignored
from .format import LONGEST, VERSION
from .identity import Process, start_offset
from .ledger_file import LedgerFile
from .machine import boot_id, machine_id
from .namespaces import pid_namespace, time_namespace
from .record import Record, following, made_by
from .state_dir import pin, state_dir_path

__all__ = ["LONGEST", "VERSION", "Ledger", "Record", "close", "current", "intent", "is_open", "made_by"]

CUT_BACK = 1 << 18
DEEPEST = 100  # ancestors in the header, which must fit one line

CLOCK_REALTIME_COARSE = 5  # the clock of the kernel's timestamps; time.time() is up to a tick ahead


class Ledger:
    """The ledger of one process, for writing. `root` is the process whose reaper sweeps it, `above` are its ancestors.

    A lock serializes threads. A signal handler may create and remove objects at any point, so a record enters `_open`
    before it is written, and no Python code runs between the last check of `_open` and the truncation of the file.
    """

    def __init__(self, parent: Ledger | None = None, *, hidden: bool = False) -> None:
        if start_offset() is None:
            raise OSError(
                ENOTSUP,
                "this process has made a time namespace for its children and is not in the first one: start times "
                "cannot be compared, so no object is created",
            )
        self.process: Process = Process.current()
        self.root: Process = parent.root if parent else self.process
        # The processes from the root to the parent; when one of them ends, this ledger is swept with its own.
        self.above: tuple[Process, ...] = (*parent.above, parent.process)[-DEEPEST:] if parent else ()
        self.pids: str = pid_namespace() or (parent.pids if parent else "")
        stem = f"{self.process.pid}-{self.process.start}"
        self._lock = RLock()
        self._numbers = count(1)
        self._open: dict[int, list[bytes]] = {}  # by number: the line with the test, then the records
        self._open_size = 0
        self._cut_back = CUT_BACK
        self._test: object = self  # the test whose name was written last; at first none
        self._name = b""
        self._stamp = (0.0, -1), ""  # the prefix of the details of records in this clock tick
        self._pid = os.getpid()
        self._closed = False
        # Every forked child has a ledger, most of them empty, so what is equal to the parent's is copied.
        self.run: str = (
            parent.run
            if parent
            else json.dumps(
                {
                    "boot": boot_id(),
                    "machine": machine_id(),
                    "inside": self.pids,
                    "root": [self.root.pid, self.root.start],
                    "worker": os.environ.get("PYTEST_XDIST_WORKER"),
                    "run": os.environ.get("PYTEST_XDIST_TESTRUNUID"),
                }
            )
        )
        above = ", ".join(f"[{process.pid}, {process.start}]" for process in self.above)
        own = f'"pid": {self.process.pid}, "start": {self.process.start}, "pids": "{self.pids}"'
        own += f', "time": "{time_namespace()}", "above": [{above}]'
        self._header = f"pytest-ipc {VERSION} {{{own}, {self.run[1:]}\n".encode()
        self._header_size = len(self._header)
        self._file = LedgerFile(stem, hidden=hidden)
        try:
            self._file.append(self._header)
        except OSError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The name of the file in the state directory."""
        return self._file.name

    def publish(self) -> None:
        """Give the file of a hidden ledger its name. Raises OSError."""
        self._file.publish()

    def descriptor(self) -> int:
        """Return a descriptor of its file, open for reading and writing. Raises OSError."""
        return self._file.descriptor()

    def intend(self, kind: str, details: dict[str, Any]) -> Record:
        """Record that an object of *kind* is about to be created. Raises OSError if the record cannot be written."""
        number = next(self._numbers)
        now = (time.clock_gettime(CLOCK_REALTIME_COARSE), os.geteuid())
        stamp, begin = self._stamp
        if stamp != now:
            # Once per clock tick (milliseconds): checking for every object would cost as much as the record.
            begin = following({"at": now[0], "uid": now[1]})[2:]
            with self._lock:
                if not self._file.is_in_place():
                    self._rewrite(create=True)  # the directory was emptied: the record would not be found
                self._stamp = now, begin
        line = self._line(f"+ {number} {kind} {{{begin}{following(details)}}}\n")
        with self._lock:
            test = made_by.test
            if self._test != test:
                # A character takes at most 12 bytes in JSON.
                self._name = f"@ {json.dumps(test and test[: LONGEST // 13])}\n".encode()
                self._append(self._name)
                self._test = test
            self._enter(number, line, [self._name])
        return Record(self, number, details)

    def enter(self, number: int, text: str) -> None:
        """Append a record about an open object. Do nothing in a process that did not open it."""
        if os.getpid() == self._pid and number in self._open:
            with self._lock:
                self._enter(number, self._line(text), [])

    def _line(self, text: str) -> bytes:
        line = text.encode()
        if len(line) > LONGEST:
            raise ValueError(f"an object's record must be at most {LONGEST} bytes, not {len(line)}; use a shorter path")
        return line

    def _enter(self, number: int, line: bytes, first: list[bytes]) -> None:
        lines = self._open.setdefault(number, first)
        lines.append(line)
        size = len(line)
        self._open_size += size
        self._file.changes += 1
        try:
            self._append(line)
        except OSError:
            lines.remove(line)
            self._open_size -= size
            if len(lines) < 2:
                self._open.pop(number, None)
            raise

    def has(self, number: int) -> bool:
        """Return whether the record of object *number* is open."""
        return number in self._open

    def leave(self, number: int) -> None:
        """Close the record of object *number*, which is gone."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if number not in self._open:
                return
            # A failed write is harmless, as a sweep will not find the object; so is a second write after a signal
            # handler has raised an exception in between.
            with failures_ignored:
                self._append(f"- {number}\n".encode())
            for line in self._open.pop(number, ())[1:]:
                self._open_size -= len(line)
            self._file.changes += 1
            with failures_ignored:  # the ledger stays longer than it needs to be
                self._cut()

    def _cut(self) -> None:
        """Truncate or rewrite the file if it has grown. Raises OSError."""
        if self._file.size > CUT_BACK and not self._open:
            fd, file, truncate = self._file.descriptor(), self._file, os.ftruncate
            if not self._open:  # no Python code may run between here and the call
                file.size, self._test = self._header_size, self
                truncate(fd, self._header_size)
        elif self._file.size > self._cut_back + 2 * self._open_size:
            self._cut_back *= 2  # do not repeat it where it fails, as in a child with another user
            self._rewrite()
            self._cut_back = CUT_BACK

    def close(self) -> None:
        """Close the ledger; remove its file unless records are still open."""
        if self.is_mine and not self._closed:
            self._closed = True
            self._file.close(remove=not self._open)

    def drop(self) -> None:
        """Close the inherited descriptor, in a child that has inherited this ledger."""
        self._file.close(remove=False)

    @property
    def is_mine(self) -> bool:
        """Whether this process writes the ledger, rather than having inherited it."""
        return os.getpid() == self._pid

    def _append(self, line: bytes) -> None:
        try:
            self._file.append(line)
        except FileNotFoundError:
            # Descriptor and file are both lost: write the open records to a new file.
            self._rewrite(create=True)
            self._file.append(line)

    def _rewrite(self, *, create: bool = False) -> None:
        """Replace the file by one with the open records only. Raises OSError."""
        changes = self._file.changes
        text = self._header + b"".join(line for lines in list(self._open.values()) for line in lines)
        if self._file.replace(text, changes, create=create):
            self._test = self  # no test named yet: the next record names it


_ledger: Ledger | None = None
_guarded: Process | None = None  # the process for which a reaper was started
_opening: RLock


def _unlock() -> None:
    global _opening
    _opening = RLock()


# Two threads must not open two ledgers. A forked child must not wait for a lock that another thread held.
_unlock()
os.register_at_fork(after_in_child=_unlock)


def is_open() -> bool:
    """Return whether this process has recorded an object."""
    return _ledger is not None and _ledger.is_mine


def current() -> Ledger:
    """Return this process's ledger; open it and start its reaper if there is none yet. Raises OSError."""
    global _ledger
    if _ledger is not None and _ledger.is_mine:
        return _ledger
    with _opening:
        if _ledger is None:
            # One state directory for the run, also for reaper and children, even if a test changes the environment.
            pin(state_dir_path())
            _ledger = _opened()
        elif not _ledger.is_mine:
            parent = _ledger
            _ledger = Ledger(parent)  # a forked child: the parent's reaper sweeps it
            parent.drop()
        return _ledger


# Errors of open(2) if the kernel or file system does not support O_TMPFILE.
_NO_UNNAMED_FILES = {EINVAL, EISDIR, ENOSYS, EOPNOTSUPP}


def _opened() -> Ledger:
    """Open the first ledger of this process; its reaper watches before the file becomes visible. Raises OSError.

    The reaper holds the file open, so that it finds it even if its directory is removed, except on file systems without
    O_TMPFILE. If the reaper cannot start, there is no ledger and no object is created.
    """
    from . import start_reaper

    global _guarded
    process = Process.current()
    if _guarded == process:
        return Ledger()
    made: Ledger | None = None
    try:
        try:
            made = Ledger(hidden=True)
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
        start_reaper.start(process, None if made is None else made.descriptor())
        _guarded = process
        atexit.register(close)
        if made is not None:
            with failures_ignored:  # the descriptor is lost, or no name is free: a new file is created
                made.publish()
                return made
    except BaseException:
        if made is not None:
            made.close()
        raise
    if made is not None:
        made.close()
    return Ledger()


def intent(kind: str, **details: Any) -> Record:
    """Record that this process is about to create an object of *kind*, to be found by *details*. Raises OSError."""
    return current().intend(kind, details)


def close() -> None:
    """Close this process's ledger if it has one."""
    global _ledger
    if _ledger is not None and _ledger.is_mine:
        _ledger.close()
        _ledger = None
