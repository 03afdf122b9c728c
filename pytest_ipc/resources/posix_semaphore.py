"""POSIX semaphores as objects: named ones, and unnamed ones in memory that forked children share.

sem_open(3) creates a named semaphore in a temporary file of libc and then links it to its name. A process that is
killed in between leaks that file, whose creator would be unknown. So a semaphore is created with a random value, which
is on record and identifies the file; it gets its real value before another process knows its name. A name that the
caller chose is published by one link(2), as in libc: the semaphore exists with its value, or not at all.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import ExitStack
from errno import EEXIST, EINVAL, ENOENT, ENOSYS, EOVERFLOW
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import failures_ignored, finish
from ..custody.kinds.file import look
from ..custody.kinds.posix_sem import path_of
from ..custody.ledger import Record, intent
from ..custody.private_folder import identity_of
from ..kernel.posix_sem import (
    SEM_BYTES,
    sem_clockwait,
    sem_close,
    sem_destroy,
    sem_getvalue,
    sem_init,
    sem_open,
    sem_post_raw,
    sem_timedwait,
    sem_trywait,
    sem_trywait_raw,
    sem_unlink,
    sem_wait,
)
from ..kernel.times import Timespec
from ..kernel.waiting import Deadline
from ..printable import plain
from ..resource import DEFAULT, Handle, Resource, Timeout, check_mode, check_timeout, timed_out
from ..unpatched import os, time
from .handed import not_found
from .limit_notes import note_limits
from .names import DIRECTORY, NAME_MAX, check_name, shared_memory_directory, unlink_name, unused_name

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["PosixSemaphore"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_FLAGS = os.O_CREAT | os.O_EXCL
_LONGEST = NAME_MAX - 4  # libc prepends "sem."


class PosixSemaphore(Resource):
    """A POSIX semaphore (sem_overview(7)), removed when its block or scope ends.

    `name` is its name for other processes, None for an unnamed one; `address` is that of its sem_t in this process and
    in children forked from it, for the calls of `kernel.posix_sem`.
    """

    _dropping = False  # opened from a handle: nobody else closes it

    def __init__(
        self,
        address: int,
        name: str | None,
        *,
        file: tuple[int, int] | None = None,
        memory: mmap.mmap | None = None,
        record: Record | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.address = address
        self.name = name
        self._file = file
        self._directory = shared_memory_directory() if record else None
        self._in_use = True
        self._memory = memory
        self._record = record  # None for a semaphore of another owner, which is used and never unlinked
        super().__init__(scope)

    @classmethod
    def create(
        cls,
        value: int = 0,
        *,
        name: str | None = None,
        shared: bool = False,
        flags: int = os.O_CREAT | os.O_EXCL,
        mode: int = 0o600,
        scope: Scope | None = None,
    ) -> Self:
        """Create or open a semaphore with *value* (sem_open(3)). Without a *name* it gets an unused one.

        With *shared* it is unnamed and in memory shared with the children forked from now on (sem_init(3)). A semaphore
        opened without O_EXCL is used but never unlinked, as it belongs to another owner. Raises ValueError or TypeError
        for an invalid value, name, mode or flags; OSError.
        """
        _check_value(value)
        check_mode(mode)
        if flags & ~_FLAGS:
            raise ValueError(f"flags of a semaphore must contain only O_CREAT and O_EXCL, not {flags:#o}")
        if shared:
            if name is not None:
                raise ValueError(f"a shared semaphore must not have a name, not {name!r}")
            return cls._unnamed(value, scope)
        if name is None:
            return cls._named(unused_name(), None, value, mode, scope)
        check_name(name, "a semaphore", _LONGEST)
        if flags & os.O_CREAT:
            # Always exclusive, so that the creator, who may unlink the semaphore, is certain.
            try:
                return cls._named(unused_name(), name, value, mode, scope)
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
        try:
            return cls(sem_open(name, 0), name, scope=scope)
        except OSError as error:
            error.add_note(plain(f"while opening the POSIX semaphore {name}"))
            raise

    @classmethod
    def _named(cls, own: str, name: str | None, value: int, mode: int, scope: Scope | None) -> Self:
        """Create the semaphore with its *own* secret name, and then publish it as *name* if given."""
        tag = int.from_bytes(os.urandom(4), "big") >> 3 | 1 << 29
        with intent("posix-sem", own=own, name=name, tag=tag) as record, ExitStack() as undo:
            try:
                address = sem_open(own, os.O_CREAT | os.O_EXCL, mode, tag)
                undo.callback(sem_close, address)
                undo.callback(sem_unlink, own)
                path = path_of(own)
                found = look(path)
                if found is None:
                    raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path)
                record.made(**found.identity())
                sem_init(address, 1, value)
                if name is not None:
                    _publish(path, path.removesuffix(own[1:]) + name[1:])
                    sem_unlink(own)
            except OSError as error:
                error.add_note(plain(f"while making a POSIX semaphore {name or own}, value {value}, mode {mode:#o}"))
                _note_limit(error)
                raise
            undo.pop_all()
        return cls(address, name or own, file=identity_of(found.status), record=record, scope=scope)

    @classmethod
    def _unnamed(cls, value: int, scope: Scope | None) -> Self:
        memory = mmap.mmap(-1, SEM_BYTES)  # shared and anonymous: freed with the last process that has it
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        try:
            sem_init(address, 1, value)
        except BaseException as error:
            memory.close()
            _note_limit(error)
            raise
        return cls(address, None, memory=memory, scope=scope)

    def __repr__(self) -> str:
        return plain(f"<PosixSemaphore {self.name or f'without a name at {self.address:#x}'}>")

    def _handle(self) -> Handle:
        if self.name is None:
            raise TypeError(
                f"{self!r} cannot be passed to another process: its memory is shared with forked children only; create "
                "it without shared=True, so that it has a name"
            )
        return self._handed, (self.name, self._file)

    @classmethod
    def _handed(cls, name: str, file: tuple[int, int] | None) -> Self:
        """Open the semaphore in the process that it was passed to. Raises OSError."""
        try:
            made = cls(sem_open(name, 0), name, file=file)
        except FileNotFoundError:
            raise not_found(f"<PosixSemaphore {name}>") from None
        made._dropping = True
        if file is not None and not made._has_its_name():
            raise not_found(made)
        return made

    def __del__(self) -> None:
        if self._dropping:
            with failures_ignored:  # closed by the code under test
                self._let_go()

    @property
    def value(self) -> int:
        """The current value, also 0 while a process waits (sem_getvalue(3)). Raises OSError."""
        self._usable()
        return sem_getvalue(self.address)

    def post(self) -> None:
        """Increment the value and wake a waiter (sem_post(3)). Raises OSError (EOVERFLOW at SEM_VALUE_MAX)."""
        self._usable()
        try:
            sem_post_raw(self.address)  # an address of ours needs no check
        except OSError as error:
            _note_limit(error)
            raise

    def wait(self, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the value is above 0 and decrement it (sem_wait(3), retried after a signal).

        Raises TimeoutError after *timeout* seconds; OSError.
        """
        self._usable()
        if timeout is DEFAULT:
            try:
                sem_trywait_raw(self.address)  # most waits need no deadline
                return
            except OSError as error:
                if error.errno is None:  # a signal handler raised it
                    raise
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        while True:
            try:
                if seconds is None:
                    sem_wait(self.address)
                else:
                    _wait_until(self.address, deadline)
                return
            except InterruptedError:
                continue
            except TimeoutError:
                if deadline.passed:
                    raise timed_out(seconds, f"a post of {self!r}", lambda: f"its value is {self.value}") from None

    def try_wait(self) -> bool:
        """Decrement the value if it is above 0, and return whether it was (sem_trywait(3)). Raises OSError."""
        self._usable()
        try:
            sem_trywait(self.address)
        except BlockingIOError:
            return False
        return True

    def unlink(self) -> bool:
        """Remove the name (sem_unlink(3)); return whether this call did. Open semaphores stay usable.

        Harmless if it was removed before, or if another semaphore has its name. Raises ValueError for an unnamed one.
        """
        name = self.name
        if name is None:
            raise ValueError(f"{self!r} must have a name to be unlinked")
        return unlink_name(
            self,
            lambda: self._file is None or self._has_its_name(),
            lambda: sem_unlink(name),
            self._record,
            lambda: "" if shared_memory_directory() == self._directory is not None else f"another {DIRECTORY}",
        )

    def _has_its_name(self) -> bool:
        """Return whether the name still refers to this semaphore and not to a replacement by the test."""
        status = os.stat(path_of(self.name or ""))
        return self._file == (status.st_dev, status.st_ino)

    def _end(self) -> None:
        finish(*([] if self._record is None else [self.unlink]), self._let_go)

    def _let_go(self) -> None:
        """Close the semaphore, or destroy an unnamed one, at most once (sem_close(3), sem_destroy(3))."""
        if self._in_use:
            self._in_use = False
            if self._memory is None:
                sem_close(self.address)
            else:
                sem_destroy(self.address)
        if self._memory is not None:
            self._memory.close()


def _check_value(value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"the value of a semaphore must be an integer, not {value!r}")
    if value < 0:
        raise ValueError(f"the value of a semaphore must be at least 0, not {value}")


def _note_limit(error: BaseException) -> None:
    if isinstance(error, OSError) and error.errno in (EINVAL, EOVERFLOW):
        note_limits(error, "SEM_VALUE_MAX")


def _publish(path: str, place: str) -> None:
    try:
        os.link(path, place)
    except FileExistsError:
        raise FileExistsError(EEXIST, f"sem_open: {os.strerror(EEXIST)}") from None


_has_clockwait = True


def _wait_until(address: int, deadline: Deadline) -> None:
    """Wait by the monotonic clock, if this libc can; else by the realtime clock, which may be set, in short waits."""
    global _has_clockwait
    seconds = min(deadline.left, 1.0)
    if _has_clockwait:
        try:
            sem_clockwait(address, time.CLOCK_MONOTONIC, Timespec.ahead(seconds, time.CLOCK_MONOTONIC))
            return
        except OSError as error:
            if error.errno != ENOSYS:
                raise
            _has_clockwait = False
    sem_timedwait(address, Timespec.ahead(seconds, time.CLOCK_REALTIME))
