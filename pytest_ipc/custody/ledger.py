"""The ledger: what this process is about to make, has made, and has ended, on record before each happens.

One file a process, one line a record, one append a line:

    pytest-ipc 1 {"pid": …}    who writes, in the first line
    @ "tests/test_it.py::test_one"   the test that makes what follows
    + 7 sysv-shm {"key": …}    about to make object 7
    = 7 {"id": …}              made it
    - 7                        object 7 is gone, or was never made

An append is in the file when write(2) returns, whatever happens to the process; a line cut short by its death is no record,
and the object it would have told of is found by its intent. Lines are flushed to no disk: what a crash of the machine takes
from the file it takes from memory too. The file is cut back whenever nothing is open, so that it does not grow with the run.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Self

from .home import HomeError, home_path, open_home
from .identity import Process, boot_id

__all__ = ["VERSION", "Ledger", "Record", "close", "current", "intent", "made_by"]

VERSION = 1
LONGEST = 4000  # bytes of a line: below PIPE_BUF, as small as a write that is whole or not at all
CUT_BACK = 1 << 18

CLOCK_REALTIME_COARSE = 5  # what the kernel stamps objects with; time.time() runs ahead of it by up to a tick


class Record:
    """One object's entry. A context manager for the making: left by an exception, the object was not made."""

    __slots__ = ("_ledger", "number")

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger = ledger
        self.number = number

    def made(self, **identity: Any) -> None:
        """The object exists; *identity* tells it from any other."""
        # If this cannot be written the intent is still there to find the object by.
        with suppress(OSError):
            self._ledger.enter(self.number, f"= {self.number} {json.dumps(identity)}\n")

    def closed(self) -> None:
        """The object is gone. Harmless in a process that did not open the record."""
        self._ledger.leave(self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.closed()


class Ledger:
    """The ledger of one process, for writing. `root` is the process whose reaper sees to it."""

    def __init__(self, root: Process | None = None) -> None:
        self.process = Process.current()
        self.root = root or self.process
        self.name = f"{self.process.pid}-{self.process.start}.ledger"
        self._numbers = count(1)
        self._open: dict[int, list[bytes]] = {}
        self._open_size = 0
        self._test: str | None = None
        self._pid = os.getpid()
        header = {
            "pid": self.process.pid,
            "start": self.process.start,
            "boot": boot_id(),
            "root": [self.root.pid, self.root.start],
            "worker": os.environ.get("PYTEST_XDIST_WORKER"),
            "run": os.environ.get("PYTEST_XDIST_TESTRUNUID"),
        }
        self._header = f"pytest-ipc {VERSION} {json.dumps(header)}\n".encode()
        home = open_home(create=True)
        assert home is not None
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self.name, flags, 0o600, dir_fd=home)
        except OSError as error:
            raise HomeError(
                error.errno,
                f"no ledger can be opened ({error.strerror}), so nothing is made",
                str(home_path() / self.name),
            ) from None
        finally:
            os.close(home)
        self._size = 0
        try:
            self._append(self._header)
        except OSError:
            self.close()
            raise

    def intend(self, kind: str, details: dict[str, Any]) -> Record:
        """Put on record that an object of *kind* is about to be made. OSError when that cannot be written."""
        number = next(self._numbers)
        entries = {"at": time.clock_gettime(CLOCK_REALTIME_COARSE), "uid": os.geteuid(), **details}
        if self._test != made_by.test:
            self._test = made_by.test
            self._append(f"@ {json.dumps(self._test)[:LONGEST]}\n".encode())
        self.enter(number, f"+ {number} {kind} {json.dumps(entries)}\n")
        return Record(self, number)

    def enter(self, number: int, text: str) -> None:
        """Append a record of an object that is open."""
        line = text.encode()
        if len(line) > LONGEST:
            raise ValueError(f"the record of an object must fit {LONGEST} bytes; its path is too long")
        self._append(line)
        self._open.setdefault(number, []).append(line)
        self._open_size += len(line)

    def leave(self, number: int) -> None:
        """The object is gone."""
        if not self.is_mine:
            return
        lines = self._open.pop(number, ())
        self._open_size -= sum(map(len, lines))
        if not lines:
            return
        try:
            if not self._open and self._size > CUT_BACK:
                os.ftruncate(self._fd, len(self._header))
                self._size, self._test = len(self._header), None
            else:
                self._append(f"- {number}\n".encode())
                if self._size > CUT_BACK + 2 * self._open_size:
                    self._rewrite()
        except OSError:
            pass  # the object is gone whether or not this could be written; a sweep will look for it and find nothing

    def close(self) -> None:
        """This process makes nothing more: the file goes, unless something is still open in it."""
        if not self.is_mine or self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if not self._open:
            home = open_home(create=False)
            if home is not None:
                # Gone already, or this process has become a user who may not: then whoever comes after it takes it away.
                with suppress(FileNotFoundError, PermissionError):
                    os.unlink(self.name, dir_fd=home)
                os.close(home)

    @property
    def is_mine(self) -> bool:
        """Whether this is the process that writes here, and not a child that has inherited the object."""
        return os.getpid() == self._pid

    def _append(self, line: bytes) -> None:
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise HomeError(
                error.errno,
                f"the ledger cannot be written ({error.strerror}), so nothing is made without a record",
                str(home_path() / self.name),
            ) from None
        self._size += written
        if written < len(line):
            # The disk is full. The half line must not swallow the next one's beginning.
            raise HomeError(28, "the ledger cannot be written whole, so nothing is made", str(home_path() / self.name))

    def _rewrite(self) -> None:
        """A new file with only what is open, in place of the old one: whole at every moment."""
        home = open_home(create=False)
        if home is None:
            return
        try:
            temporary = f".{self.name}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o600, dir_fd=home)
            text = self._header + b"".join(line for lines in self._open.values() for line in lines)
            if os.write(fd, text) != len(text):
                os.close(fd)
                os.unlink(temporary, dir_fd=home)
                return
            os.rename(temporary, self.name, src_dir_fd=home, dst_dir_fd=home)
            os.close(self._fd)
            self._fd, self._size, self._test = fd, len(text), None
        finally:
            os.close(home)


class _MadeBy:
    """The test that is running, for the records: set by the plugin."""

    test: str | None = None


made_by = _MadeBy()
_ledger: Ledger | None = None
_guarded: Process | None = None  # the process for which a reaper was started


def current() -> Ledger:
    """This process's ledger; opened, with a reaper to read it, if there is none yet. OSError."""
    global _ledger, _guarded
    if _ledger is None:
        from . import reaper

        # The reaper comes first: whatever happens from here on, there is somebody who will look. And where no reaper
        # can be started there is no ledger, and so no object, either.
        if _guarded != (process := Process.current()):
            reaper.start(process)
            _guarded = process
            atexit.register(close)
        _ledger = Ledger()
    elif not _ledger.is_mine:
        _ledger = Ledger(_ledger.root)  # a forked child: its parent's reaper sees to it
    return _ledger


def intent(kind: str, **details: Any) -> Record:
    """Put on record that this process is about to make an object of *kind*, which *details* will help to find. OSError."""
    return current().intend(kind, details)


def close() -> None:
    """Close this process's ledger if it has one."""
    global _ledger
    if _ledger is not None and _ledger.is_mine:
        _ledger.close()
        _ledger = None
