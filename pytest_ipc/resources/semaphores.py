"""System V semaphore sets as objects: create, operate with a deadline, remove.

Waits use the kernel's own timeout, and the remaining time of it after a signal handler: an interrupted operation has no
effect, so that it can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import E2BIG, EAGAIN, EFBIG, EINTR, EINVAL, ENOSPC, ERANGE
from typing import TYPE_CHECKING, Self

from ..custody.ledger import Record
from ..kernel.ipc import IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE
from ..kernel.libc import USHORT, check_integer
from ..kernel.sem import (
    GETNCNT,
    GETPID,
    GETVAL,
    GETZCNT,
    SEM_UNDO,
    SEMBUF,
    SEMVMX,
    Sembuf,
    SemidDs,
    semctl,
    semctl_getall,
    semctl_rmid,
    semctl_set,
    semctl_setall,
    semctl_setval,
    semctl_stat,
    semget,
    semop_raw,
    semtimedop,
)
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Handle, Timeout, check_timeout, timed_out
from .limit_notes import note_limits
from .sysv import SysvObject, SysvType

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["SemaphoreSet"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


_ACQUIRE = SEMBUF.pack(0, -1, IPC_NOWAIT)
_RELEASE = SEMBUF.pack(0, 1, 0)


class SemaphoreSet(SysvObject):
    """A System V semaphore set, removed when its block or scope ends (semget(2), semop(2), semctl(2)).

    `id` is its identifier, `key` the key for other processes, `count` the number of its semaphores.
    """

    _type = SysvType("sysv-sem", "-s", semctl_stat, semctl_set, semctl_rmid)

    def __init__(
        self, id: int, key: int, count: int, *, record: Record | None = None, scope: Scope | None = None
    ) -> None:
        self.count = count
        super().__init__(id, key, record=record, scope=scope)

    @classmethod
    def create(
        cls,
        count: int | None = None,
        *,
        values: Sequence[int] | None = None,
        key: int | None = None,
        flags: int = IPC_CREAT | IPC_EXCL,
        mode: int = 0o600,
        scope: Scope | None = None,
    ) -> Self:
        """Create or find a set of *count* semaphores with the initial *values*, by default 0 on Linux (semget(2)).

        Without a *count* a new set has a semaphore for each of *values*, or one; an existing set may have any number.
        Without a *key* it gets an unused one; IPC_PRIVATE works too. A set found without IPC_EXCL is used but its
        values are kept and it is never removed, as it belongs to another owner. Raises ValueError or TypeError for an
        invalid count, values, key or mode; OSError.
        """
        new = _number_of_new(count, values)

        def get(key: int, flags: int) -> int:
            makes = key == IPC_PRIVATE or flags & IPC_CREAT
            return _semget(key, new if makes or count is not None else 0, flags)

        id, key, record = cls._obtain(key, flags, mode, get, nsems=new)
        made = cls(id, key, new if record else semctl_stat(id).nsems, record=record, scope=scope)
        if record and values is not None:
            try:
                made.values = values
            except BaseException:
                made.close()
                raise
        return made

    def __repr__(self) -> str:
        return f"<SemaphoreSet id={self.id} key={self.key:#x} count={self.count}>"

    def _handle(self) -> Handle:
        opening, arguments = super()._handle()
        return opening, (*arguments, self.count)

    def op(self, *operations: Sembuf | tuple[int, ...], timeout: Timeout = DEFAULT) -> None:
        """Perform all *operations*, (number, addend) or (number, addend, flags), atomically (semop(2)).

        It waits until that is possible. Raises TimeoutError after *timeout* seconds, BlockingIOError for an operation
        with IPC_NOWAIT that would wait, both without an effect; OSError (EIDRM if the set is removed meanwhile).
        """
        self._usable()
        seconds = check_timeout(timeout)
        try:
            semtimedop(self.id, operations, 0)  # most operations need not wait, nor a deadline
            return
        except OSError as error:
            if error.errno != EAGAIN or any(Sembuf(*operation).flg & IPC_NOWAIT for operation in operations):
                self._note_limits(error, *(operation[0] for operation in operations))
                raise
        self._wait_for([Sembuf(*operation) for operation in operations], seconds)

    def _wait_for(self, operations: list[Sembuf], seconds: float | None) -> None:
        deadline = Deadline(seconds)
        while True:
            try:
                return semtimedop(self.id, operations, None if seconds is None else deadline.left)
            except OSError as error:
                if error.errno == EINTR:
                    continue
                if error.errno != EAGAIN:
                    self._note_limits(error, *(op.num for op in operations))
                    raise
                if deadline.passed:  # the kernel's clock may be a nanosecond ahead of this one
                    waiting = ", ".join(f"{op.op:+d} on {op.num}" if op.op else f"0 on {op.num}" for op in operations)
                    raise timed_out(seconds, f"{waiting} to be done in {self!r}", self._state) from None

    @contextmanager
    def _limits_noted(self, num: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._note_limits(error, num)
            raise

    def _note_limits(self, error: OSError, *nums: int) -> None:
        if error.errno == ERANGE:
            error.add_note(f"the value of a semaphore must be from 0 to {SEMVMX} (SEMVMX)")
        elif error.errno in (EFBIG, EINVAL) and any(not 0 <= num < self.count for num in nums):
            error.add_note(f"the semaphores of {self!r} have the numbers 0 to {self.count - 1}")
        elif error.errno == E2BIG:
            note_limits(error, "kernel.sem.semopm")

    def _state(self) -> str:
        return f"its values are {semctl_getall(self.id)}"

    def acquire(self, num: int = 0, *, undo: bool = False, timeout: Timeout = DEFAULT) -> None:
        """Wait until semaphore *num* is above 0 and subtract 1.

        With *undo* (SEM_UNDO) the kernel adds it back when the process ends. Raises TimeoutError after *timeout*
        seconds; OSError.
        """
        if num == 0 and not undo and timeout is DEFAULT and not self._closed:
            # The common case in one prepared call; what it cannot do at once, op() does.
            try:
                semop_raw(self.id, _ACQUIRE, 1)
                return
            except OSError as error:
                if error.errno is None:  # a signal handler raised it
                    raise
        self.op((num, -1, SEM_UNDO if undo else 0), timeout=timeout)

    def release(self, num: int = 0, *, undo: bool = False) -> None:
        """Add 1 to semaphore *num*; with *undo* if it was acquired with it. Raises OSError."""
        if num == 0 and not undo and not self._closed:
            try:
                semop_raw(self.id, _RELEASE, 1)  # likewise
                return
            except OSError as error:
                if error.errno is None:
                    raise
        self.op((num, 1, SEM_UNDO if undo else 0))

    @contextmanager
    def held(self, num: int = 0, *, timeout: Timeout = DEFAULT) -> Iterator[None]:
        """Acquire semaphore *num* for a block; it is released even if the process dies in the block.

        Raises TimeoutError after *timeout* seconds; OSError.
        """
        self.acquire(num, undo=True, timeout=timeout)
        try:
            yield
        finally:
            self.release(num, undo=True)

    def wait_for_zero(self, num: int = 0, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until semaphore *num* is 0. Raises TimeoutError after *timeout* seconds; OSError."""
        self.op(Sembuf(num, 0), timeout=timeout)

    @property
    def values(self) -> list[int]:
        """The value of each semaphore (semctl(2), GETALL; SETALL on assignment). Raises OSError."""
        self._usable()
        return semctl_getall(self.id)

    @values.setter
    def values(self, values: Sequence[int]) -> None:
        self._usable()
        with self._limits_noted():
            semctl_setall(self.id, values)

    def value(self, num: int = 0) -> int:
        """Return the value of semaphore *num* (semctl(2), GETVAL). Raises OSError."""
        return self._get(num, GETVAL)

    def set_value(self, value: int, num: int = 0) -> None:
        """Set the value of semaphore *num*, and clear its SEM_UNDO adjustments (semctl(2), SETVAL). Raises OSError."""
        self._usable()
        with self._limits_noted(num):
            semctl_setval(self.id, num, value)

    def waiters(self, num: int = 0) -> int:
        """Return the number of waiters for an increase of semaphore *num* (semctl(2), GETNCNT). Raises OSError."""
        return self._get(num, GETNCNT)

    def zero_waiters(self, num: int = 0) -> int:
        """Return the number of waiters for semaphore *num* to be 0 (semctl(2), GETZCNT). Raises OSError."""
        return self._get(num, GETZCNT)

    def last_pid(self, num: int = 0) -> int:
        """Return the last process that operated on semaphore *num*, or 0 (semctl(2), GETPID). Raises OSError."""
        return self._get(num, GETPID)

    def _get(self, num: int, cmd: int) -> int:
        self._usable()
        with self._limits_noted(num):
            return semctl(self.id, num, cmd)

    def stat(self) -> SemidDs:
        """Return the kernel's data of the set (semctl(2), IPC_STAT). Raises OSError."""
        self._usable()
        return semctl_stat(self.id)


def _number_of_new(count: int | None, values: Sequence[int] | None) -> int:
    """Return the number of semaphores of a new set. Raises ValueError or TypeError for an invalid count or values."""
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"the number of semaphores must be an integer, not {count!r}")
        if count < 1:
            raise ValueError(f"a set must have at least 1 semaphore, not {count}")
    if values is None:
        return 1 if count is None else count
    if count is None and not len(values):
        raise ValueError("values must have at least 1 value, not 0")
    if count is not None and len(values) != count:
        raise ValueError(f"semctl: expected {count} values, got {len(values)}")
    for value in values:
        check_integer("semctl", value, USHORT)
    return len(values)


def _semget(key: int, count: int, flags: int) -> int:
    try:
        return semget(key, count, flags)
    except OSError as error:
        error.add_note(f"while making a System V semaphore set with key {key:#x} of {count}, flags {flags:#o}")
        if error.errno == EINVAL:
            note_limits(error, "kernel.sem.semmsl")
        elif error.errno == ENOSPC:
            note_limits(error, "kernel.sem.semmni", "kernel.sem.semmns")
            error.add_note("`ipcs -s` lists the semaphore sets of this IPC namespace")
        raise
