"""File locks as objects: acquired with a deadline, and a failure that names the holder.

A wait for a lock has a timeout only with a signal or a thread, which this package must not use. So with a timeout the
lock is tried every millisecond without waiting, which has no place in the kernel's queue. Without a timeout the wait is
in the kernel: in its queue, and with its deadlock detection.

Several processes may request one path that does not exist: one of them creates the file and removes it at its end. It
does so while it holds the lock, and a process that then gets the lock of the removed file creates a new one: a lock of
a path excludes all other processes that lock the path, not only those that have opened the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EAGAIN, ENOSYS
from functools import partial
from pathlib import Path
from signal import SIGURG
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import failures_ignored, finish
from ..custody.private_folder import Identity, identity_of
from ..kernel.locks import (
    F_GETLK,
    F_OFD_GETLK,
    F_OFD_SETLK,
    F_OFD_SETLKW,
    F_RDLCK,
    F_SETLK,
    F_SETLKW,
    F_UNLCK,
    F_WRLCK,
    LOCK_EX,
    LOCK_NB,
    LOCK_SH,
    LOCK_UN,
    RecordLock,
    fcntl_getlk,
    fcntl_setlk,
    flock,
)
from ..kernel.locktable import locks_of, own_locks, picture_of_locks
from ..kernel.recorded import os
from ..kernel.waiting import Deadline
from ..printable import plain
from ..resource import DEFAULT, Handle, Timeout, WithDescriptor, check_timeout, closed_when_dropped, timed_out
from .file import OwnedFile
from .handed import is_at, not_found
from .lease import Lease

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["FileLock"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# The commands of fcntl(2) for each kind with ranges: without waiting, waiting, and testing.
_COMMANDS = {"posix": (F_SETLK, F_SETLKW, F_GETLK), "ofd": (F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK)}
_KINDS = ("flock", *_COMMANDS)

# Seconds in which other processes may release the lock of a file that is to be removed.
_GRACE = 1.0
_MOST_TRIES = 100


class FileLock(WithDescriptor):
    """A file that is open to be locked, by flock(2), record locks or open file description locks (fcntl(2)).

    `path` is the file, `kind` "flock", "posix" or "ofd". A lock of kind "flock" or "ofd" belongs to this one opening of
    the file: another FileLock of the same path competes with it, in this process too, and a forked child shares it. A
    lock of kind "posix" belongs to the process, which loses all its locks of the file when it closes any descriptor of
    it.
    """

    def __init__(
        self,
        path: str,
        kind: str,
        fd: int,
        file: OwnedFile | None,
        scope: Scope | None = None,
        *,
        flags: int = os.O_RDWR,
        private: bool = False,
    ) -> None:
        self.path: Path = Path(path)
        self.kind = kind
        self._fd = fd
        self._file = file
        self._flags = flags
        self._private = private  # no other process knows the path
        super().__init__(scope)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        kind: str = "flock",
        flags: int = os.O_RDWR,
        scope: Scope | None = None,
    ) -> Self:
        """Open the file at *path* with *flags*, or one in its own private directory (open(2)).

        An existing file is used and kept; a missing one is created, and removed at the end. Raises ValueError or
        TypeError for an invalid kind or path; OSError.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(_KINDS)}, not {kind!r}")
        place, fd, file = _open(path, flags)
        return cls(os.path.realpath(place), kind, fd, file, scope, flags=flags, private=path is None)

    def __repr__(self) -> str:
        return plain(f"<{self.kind} lock of {self.path}>")

    def _handle(self) -> Handle:
        flags = self._flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
        return self._handed, (str(self.path), self.kind, flags, identity_of(os.fstat(self._fd)))

    @classmethod
    def _handed(cls, path: str, kind: str, flags: int, identity: Identity) -> Self:
        """Open the file in the process that the lock was passed to. Raises OSError."""
        if not is_at(path, identity):
            raise not_found(f"<{kind} lock of {path}>")
        # Private: the file is its owner's, who creates it again.
        made = cls(path, kind, os.open(path, flags | os.O_CLOEXEC), None, flags=flags, private=True)
        return closed_when_dropped(made)

    def acquire(self, shared: bool = False, start: int = 0, length: int = 0, *, timeout: Timeout = DEFAULT) -> None:
        """Lock *length* bytes from *start*, *shared* or exclusive; 0 is up to the end of the file, wherever it moves.

        Locks of this object in the range are converted. Raises TimeoutError after *timeout* seconds, with the holders
        of all locks; with None it waits in the kernel, and the OSError (EDEADLK, ENOLCK) has the holders as a note. A
        file that its creator has removed meanwhile is created again. Raises ValueError for a range of a flock, which is
        always of the whole file.
        """
        self._check(start, length)
        wanted = _what(shared, start, length)
        seconds = check_timeout(timeout)
        if seconds is None:
            self._wait(shared, start, length)
            while self._made_anew():
                self._wait(shared, start, length)
        elif not Deadline(seconds).until(lambda: self._try(shared, start, length)):
            raise timed_out(seconds, f"{wanted} of {self.path}", lambda: f"the locks are\n{self.picture()}")

    def try_acquire(self, shared: bool = False, start: int = 0, length: int = 0) -> bool:
        """Lock the range without waiting; return whether it is locked. Raises OSError for errors but a conflict."""
        self._check(start, length)
        return self._try(shared, start, length)

    def release(self, start: int = 0, length: int = 0) -> None:
        """Unlock *length* bytes from *start*, for 0 up to the end; harmless where nothing is locked. Raises OSError."""
        self._check(start, length)
        if self.kind == "flock":
            flock(self._fd, LOCK_UN)
        else:
            fcntl_setlk(self._fd, _COMMANDS[self.kind][0], RecordLock(F_UNLCK, start, length))

    @contextmanager
    def held(
        self, shared: bool = False, start: int = 0, length: int = 0, *, timeout: Timeout = DEFAULT
    ) -> Iterator[None]:
        """Lock the range for a block: acquire() before and release() after it."""
        self.acquire(shared, start, length, timeout=timeout)
        try:
            yield
        finally:
            if not self._closed:
                self.release(start, length)

    def test(self, shared: bool = False, start: int = 0, length: int = 0) -> RecordLock | None:
        """Return a lock that conflicts with such a one (fcntl(2), F_GETLK and F_OFD_GETLK); None if there is none.

        `pid` is the process that holds it, -1 for a lock of an open file description. flock(2) has no such call, so its
        locks are read from /proc/locks. Raises OSError (ENOSYS without /proc/locks).
        """
        self._check(start, length)
        if self.kind == "flock":
            return self._conflicting_flock(shared)
        answer = fcntl_getlk(self._fd, _COMMANDS[self.kind][2], RecordLock(_type(shared), start, length))
        return None if answer.type == F_UNLCK else answer

    def take_lease(self, shared: bool = False, signo: int = SIGURG) -> Lease:
        """Take a lease: *signo* reports an open(2) of the file, if *shared* only for writing (fcntl(2), F_SETLEASE).

        A shared lease needs flags=O_RDONLY; an exclusive one fails with EAGAIN if the file is open elsewhere. SIGURG is
        ignored by default; SIGIO, the meaning of 0, would end a process that does not catch it.
        """
        self._usable()
        return Lease.take(self._fd, repr(self), shared, signo)

    def picture(self) -> str:
        """Return the holders of the file's locks and the waiters, for people; a sentence if they are not shown."""
        self._usable()
        return picture_of_locks(self._fd)

    def _check(self, start: int, length: int) -> None:
        self._usable()
        for value, name in ((start, "start"), (length, "length")):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer number of bytes, not {value!r}")
        if start < 0:
            raise ValueError(f"start must be a non-negative number of bytes, not {start}")
        if self.kind == "flock" and (start or length):
            raise ValueError("a flock is of the whole file: start and length must be 0; use kind='posix' or 'ofd'")

    def _try(self, shared: bool, start: int, length: int) -> bool:
        while self._lock_now(shared, start, length):
            if not self._made_anew():
                return True
        return False

    def _made_anew(self) -> bool:
        """Open a new file if the open one had been removed, whose lock excludes nobody; return whether it was."""
        if self._private or os.getpid() != self._maker or os.fstat(self._fd).st_nlink:
            return False
        _, fd, file = _open(self.path, self._flags)
        os.dup2(fd, self._fd, inheritable=False)  # the number stays
        os.close(fd)
        if self._file is not None:
            self._file.close()
        self._file = file
        return True

    def _lock_now(self, shared: bool, start: int, length: int) -> bool:
        try:
            if self.kind == "flock":
                flock(self._fd, (LOCK_SH if shared else LOCK_EX) | LOCK_NB)
            else:
                fcntl_setlk(self._fd, _COMMANDS[self.kind][0], RecordLock(_type(shared), start, length))
        except OSError as error:
            if error.errno in (EAGAIN, EACCES):
                return False
            raise
        return True

    def _wait(self, shared: bool, start: int, length: int) -> None:
        if self.kind == "flock":
            call = partial(flock, self._fd, LOCK_SH if shared else LOCK_EX)
        else:
            call = partial(fcntl_setlk, self._fd, _COMMANDS[self.kind][1], RecordLock(_type(shared), start, length))
        while True:
            try:
                return call()
            except InterruptedError:
                continue
            except OSError as error:
                error.add_note(f"while {self!r} waited for {_what(shared, start, length)}\n{self.picture()}")
                raise

    def _conflicting_flock(self, shared: bool) -> RecordLock | None:
        rows = locks_of(self._fd)
        if rows is None:
            raise OSError(
                ENOSYS, "flock(2) does not report the holder of a lock, and /proc/locks is not readable", str(self.path)
            )
        mine = [(row.type, row.pid) for row in own_locks(self._fd) if row.kind == "FLOCK"]
        for row in rows:
            if row.kind != "FLOCK" or row.blocked:
                continue
            if (row.type, row.pid) in mine:
                mine.remove((row.type, row.pid))  # shared locks of one process look the same; one of them is this one
            elif row.type == "WRITE" or not shared:
                return RecordLock(F_WRLCK if row.type == "WRITE" else F_RDLCK, pid=row.pid)
        return None

    def all_descriptors(self) -> list[int]:
        """Return its descriptors and those by which its file is recognised."""
        return [*self.descriptors(), *(self._file.descriptors() if self._file is not None else ())]

    def _end(self) -> None:
        steps = [self._close_fd]
        if self._file is not None:
            steps.insert(0, self._file.close)
            if not self._private:
                steps.insert(0, self._lock_to_remove)
        finish(*steps)

    def _lock_to_remove(self) -> None:
        """Hold the lock while the name is removed: every later holder finds out that the file is gone."""
        if self._fd_open:
            with failures_ignored:  # the lock is a courtesy to those who lock the path; the file is removed anyway
                Deadline(_GRACE).until(lambda: self._lock_now(False, 0, 0))


def _type(shared: bool) -> int:
    return F_RDLCK if shared else F_WRLCK


def _what(shared: bool, start: int, length: int) -> str:
    name = "a shared lock" if shared else "an exclusive lock"
    if length < 0:
        start, length = start + length, -length
    return f"{name} of bytes {start} to {start + length - 1 if length else 'the end'}"


def _make(path: str) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _open(path: str | os.PathLike[str] | None, flags: int) -> tuple[str, int, OwnedFile | None]:
    """Return path, descriptor and, if created here, the file; other processes may create and remove it meanwhile."""
    left = _MOST_TRIES
    while True:
        left -= 1
        file = None
        if path is None or not _is_there(path):
            try:
                file = OwnedFile.create("lock-file", "lock file", _make, path)
            except FileExistsError:
                if left:
                    continue
                raise
            path = file.path
        try:
            return os.fsdecode(path), os.open(path, flags | os.O_CLOEXEC), file
        except BaseException as error:
            if file is not None:
                file.close()
            if not (left and isinstance(error, FileNotFoundError)):
                raise


def _is_there(path: str | os.PathLike[str]) -> bool:
    if not os.fspath(path) or "\0" in os.fsdecode(path):
        return False  # OwnedFile raises the error
    return os.path.lexists(path)
