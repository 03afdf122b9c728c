"""The ledger: the objects that this process is about to create, has created and has removed, each on record in advance.

One file a process, one line a record, one append a line:

    pytest-ipc 2 {"pid": …}    who writes, in the first line
    @ "tests/test_it.py::test_one"   the test that makes what follows
    + 7 sysv-shm {"key": …}    about to make object 7
    = 7 {"id": …}              made it
    - 7                        object 7 is gone, or was never made

An append is in the file when write(2) returns, whatever happens to the process; a line cut short by its death is no record,
and the object it would have told of is found by its intent. Lines are flushed to no disk: what a crash of the machine takes
from the file it takes from memory too. The file is cut back when nothing is open, and replaced by one of what is open when it
has grown; it does not grow with the run.
"""

from __future__ import annotations

import atexit
from _thread import RLock
from errno import EINVAL, EISDIR, ENOSYS, ENOTSUP, EOPNOTSUPP
from itertools import count
from typing import Any

from ..unpatched import json, os, time
from .cleanup import failures_ignored
from .identity import Process, start_offset
from .ledger_file import LedgerFile
from .machine import boot_id, machine_id
from .namespaces import pid_namespace, time_namespace
from .record import Record, following, made_by
from .state_dir import pin, state_dir_path

__all__ = ["LONGEST", "VERSION", "Ledger", "Record", "close", "current", "intent", "made_by"]

VERSION = 2
LONGEST = 4000  # bytes of a line: below PIPE_BUF, as small as a write that is whole or not at all
CUT_BACK = 1 << 18
DEEPEST = 100  # ancestors that a ledger names: as many as surely fit its first line

CLOCK_REALTIME_COARSE = 5  # what the kernel stamps objects with; time.time() runs ahead of it by up to a tick


class Ledger:
    """The ledger of one process, for writing. `root` is the process whose reaper sees to it, `above` are its ancestors.

    Threads take turns. A signal's handler may make and end objects in the middle of anything below; so a record is entered
    in `_open` before it is written, and no Python code stands between the last look at `_open` and what cuts the file back.
    """

    def __init__(self, parent: Ledger | None = None, *, hidden: bool = False) -> None:
        if start_offset() is None:
            raise OSError(
                ENOTSUP,
                "this process has made a time namespace for its children, and its own is not the first: start times cannot be "
                "told apart, so nothing is made",
            )
        self.process: Process = Process.current()
        self.root: Process = parent.root if parent else self.process
        # The processes from the root down to this one's parent; when one of them ends, this ledger is swept with its own.
        self.above: tuple[Process, ...] = (*parent.above, parent.process)[-DEEPEST:] if parent else ()
        self.pids: str = pid_namespace() or (parent.pids if parent else "")
        stem = f"{self.process.pid}-{self.process.start}"
        self._lock = RLock()
        self._numbers = count(1)
        self._open: dict[int, list[bytes]] = {}  # the line that names the test, then the records
        self._open_size = 0
        self._cut_back = CUT_BACK
        self._test: object = self  # whose name was written last; at first nobody's
        self._name = b""
        self._stamp = (0.0, -1), ""  # what records made in this tick begin with
        self._pid = os.getpid()
        self._closed = False
        # Every forked child has a ledger, most of them for nothing: what it has in common with its parent's is copied.
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
        """The name of its file in the state directory."""
        return self._file.name

    def publish(self) -> None:
        """Give the file of a hidden ledger its name. OSError."""
        self._file.publish()

    def descriptor(self) -> int:
        """Return a descriptor of its file, for reading too. OSError."""
        return self._file.descriptor()

    def intend(self, kind: str, details: dict[str, Any]) -> Record:
        """Put on record that an object of *kind* is about to be made. OSError when that cannot be written."""
        number = next(self._numbers)
        now = (time.clock_gettime(CLOCK_REALTIME_COARSE), os.geteuid())
        stamp, begin = self._stamp
        if stamp != now:
            # Once a tick of the clock, some milliseconds: to ask for every object would cost as much as a record does.
            begin = following({"at": now[0], "uid": now[1]})[2:]
            with self._lock:
                if not self._file.is_in_place():
                    self._rewrite(create=True)  # somebody cleared the folder: a record that nobody can find is none
                self._stamp = now, begin
        line = self._line(f"+ {number} {kind} {{{begin}{following(details)}}}\n")
        with self._lock:
            test = made_by.test
            if self._test != test:
                # A character is at most twelve bytes of JSON.
                self._name = f"@ {json.dumps(test and test[: LONGEST // 13])}\n".encode()
                self._append(self._name)
                self._test = test
            self._enter(number, line, [self._name])
        return Record(self, number, details)

    def enter(self, number: int, text: str) -> None:
        """Append a record of an object that is open. Harmless in a process that did not open it."""
        if os.getpid() == self._pid and number in self._open:
            with self._lock:
                self._enter(number, self._line(text), [])

    def _line(self, text: str) -> bytes:
        line = text.encode()
        if len(line) > LONGEST:
            raise ValueError(f"the record of an object must fit {LONGEST} bytes; its path is too long")
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
        """The object is gone."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if number not in self._open:
                return
            # What cannot be written now is no loss: the object is gone, and a sweep that looks for it finds nothing. Nor is
            # what is written twice, because a signal's handler has raised an exception before the record was taken out.
            with failures_ignored:
                self._append(f"- {number}\n".encode())
            for line in self._open.pop(number, ())[1:]:
                self._open_size -= len(line)
            self._file.changes += 1
            with failures_ignored:
                self._cut()

    def _cut(self) -> None:
        """Cut the file back when it has grown. OSError."""
        if self._file.size > CUT_BACK and not self._open:
            fd, file, truncate = self._file.descriptor(), self._file, os.ftruncate
            if not self._open:  # and no Python code from here to the call
                file.size, self._test = self._header_size, self
                truncate(fd, self._header_size)
        elif self._file.size > self._cut_back + 2 * self._open_size:
            self._cut_back *= 2  # not again and again where it cannot be done: the child of another user
            self._rewrite()
            self._cut_back = CUT_BACK

    def close(self) -> None:
        """This process makes nothing more: the file goes, unless something is still open in it."""
        if self.is_mine and not self._closed:
            self._closed = True
            self._file.close(remove=not self._open)

    def drop(self) -> None:
        """In a child that has inherited the object: close its copy of the descriptor."""
        self._file.close(remove=False)

    @property
    def is_mine(self) -> bool:
        """Whether this is the process that writes here, and not a child that has inherited the object."""
        return os.getpid() == self._pid

    def _append(self, line: bytes) -> None:
        try:
            self._file.append(line)
        except FileNotFoundError:
            # The descriptor was lost, and so is the file: whatever is open goes to a new one.
            self._rewrite(create=True)
            self._file.append(line)

    def _rewrite(self, *, create: bool = False) -> None:
        """Replace the file by one of what is open. OSError."""
        changes = self._file.changes
        text = self._header + b"".join(line for lines in list(self._open.values()) for line in lines)
        if self._file.replace(text, changes, create=create):
            self._test = self  # no test's name: the next record says whose it is


_ledger: Ledger | None = None
_guarded: Process | None = None  # the process for which a reaper was started
_opening: RLock


def _unlock() -> None:
    global _opening
    _opening = RLock()


# Two threads must not open two ledgers. A child of fork has one thread, and must not wait for one that it does not have.
_unlock()
os.register_at_fork(after_in_child=_unlock)


def current() -> Ledger:
    """This process's ledger; opened, with a reaper to read it, if there is none yet. OSError."""
    global _ledger
    if _ledger is not None and _ledger.is_mine:
        return _ledger
    with _opening:
        if _ledger is None:
            # One home for the whole run, whatever a test does to the environment: the reaper and the children look there.
            pin(state_dir_path())
            _ledger = _opened()
        elif not _ledger.is_mine:
            parent = _ledger
            _ledger = Ledger(parent)  # a forked child: its parent's reaper sees to it
            parent.drop()
        return _ledger


# Of open(2) with O_TMPFILE: the file system or the kernel has no such files.
_NO_UNNAMED_FILES = {EINVAL, EISDIR, ENOSYS, EOPNOTSUPP}


def _opened() -> Ledger:
    """Open the first ledger of this process, with a reaper that watches before others can see the file.

    The reaper holds the file open, so that it finds it even when its directory is removed; only where the file system has no
    files without a name it does not. Where no reaper can be started there is no ledger, and so no object, either.
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
            with failures_ignored:
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
    """Put on record that this process is about to make an object of *kind*, which *details* will help to find. OSError."""
    return current().intend(kind, details)


def close() -> None:
    """Close this process's ledger if it has one."""
    global _ledger
    if _ledger is not None and _ledger.is_mine:
        _ledger.close()
        _ledger = None
