"""System V semaphore sets as objects: create, operate with a deadline, remove.

The kernel's own time limit is used for waiting, and what is left of it after a signal's handler has run: an operation
that was interrupted has done nothing, so that it can be begun again.
"""

from __future__ import annotations

import math
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
    semtimedop,
)
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Timeout, check_timeout, timed_out
from .limit_notes import note_limits
from .sysv import SysvObject, SysvType

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["SemaphoreSet"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class SemaphoreSet(SysvObject):
    """A System V semaphore set, removed when its block or scope ends (semget(2), semop(2), semctl(2)).

    `id` is what semget gave, `key` what other processes find it by, `count` the number of its semaphores.
    """

    _type = SysvType("sysv-sem", "-s", semctl_stat, semctl_set, semctl_rmid)

    def __init__(
        self, id: int, key: int, count: int, *, record: Record | None = None, scope: Scope | None = None
    ) -> None:
        self.count = count
        super().__init__(id, key, record, scope)

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
        """semget(2): a set of *count* semaphores that begin with *values*, or else as the system makes them: on Linux with 0.

        Without a *count* a new set has a semaphore for each of *values*, or one, and a set that exists may have any number.
        With no *key*, a new one that is in nobody's use; IPC_PRIVATE works too. Flags without IPC_EXCL may find a set that
        exists: then it is used but its values are not touched and it is never removed, for it is somebody's. ValueError or
        TypeError for a count, values, key or mode that no set can have; OSError with the call's errno.
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

    def op(self, *operations: Sembuf | tuple[int, ...], timeout: Timeout = DEFAULT) -> None:
        """semop(2): do all *operations*, (number, addend) or (number, addend, flags), as one.

        Wait until that can be done.

        TimeoutError when it cannot be done within *timeout* seconds, BlockingIOError when it cannot be done now and the
        operation has IPC_NOWAIT; nothing is done then. OSError, EIDRM when the set is removed meanwhile.
        """
        self._usable()
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        ops = [Sembuf(*operation) for operation in operations]
        nowait = any(op.flg & IPC_NOWAIT for op in ops)
        while True:
            try:
                return semtimedop(self.id, ops, None if math.isinf(deadline.left) else deadline.left)
            except OSError as error:
                if error.errno == EINTR:
                    continue
                if error.errno != EAGAIN or nowait:
                    self._note_limits(error, *(op.num for op in ops))
                    raise
                if deadline.passed:  # the kernel's clock may be a nanosecond ahead of this one
                    waiting = ", ".join(f"{op.op:+d} on {op.num}" if op.op else f"0 on {op.num}" for op in ops)
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
        """Take 1 from semaphore *num* as soon as it is not 0.

        With *undo* (SEM_UNDO) it is given back when the process ends.

        TimeoutError when it is not to be had within *timeout* seconds. OSError.
        """
        self.op(Sembuf(num, -1, SEM_UNDO * undo), timeout=timeout)

    def release(self, num: int = 0, *, undo: bool = False) -> None:
        """Add 1 to semaphore *num*; with *undo* if it was taken so. OSError."""
        self.op(Sembuf(num, 1, SEM_UNDO * undo))

    @contextmanager
    def held(self, num: int = 0, *, timeout: Timeout = DEFAULT) -> Iterator[None]:
        """For a block: take 1 from semaphore *num* and give it back, also when the process dies in the block.

        TimeoutError; OSError.
        """
        self.acquire(num, undo=True, timeout=timeout)
        try:
            yield
        finally:
            self.release(num, undo=True)

    def wait_for_zero(self, num: int = 0, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until semaphore *num* is 0. TimeoutError when it is not within *timeout* seconds. OSError."""
        self.op(Sembuf(num, 0), timeout=timeout)

    @property
    def values(self) -> list[int]:
        """semctl(2), GETALL, and SETALL when assigned to: the value of each semaphore. OSError."""
        self._usable()
        return semctl_getall(self.id)

    @values.setter
    def values(self, values: Sequence[int]) -> None:
        self._usable()
        with self._limits_noted():
            semctl_setall(self.id, values)

    def value(self, num: int = 0) -> int:
        """semctl(2), GETVAL: the value of semaphore *num*. OSError."""
        return self._get(num, GETVAL)

    def set_value(self, value: int, num: int = 0) -> None:
        """semctl(2), SETVAL: give semaphore *num* a value; adjustments that wait for processes' ends are forgotten.

        OSError.
        """
        self._usable()
        with self._limits_noted(num):
            semctl_setval(self.id, num, value)

    def waiters(self, num: int = 0) -> int:
        """semctl(2), GETNCNT: how many wait for semaphore *num* to have more. OSError."""
        return self._get(num, GETNCNT)

    def zero_waiters(self, num: int = 0) -> int:
        """semctl(2), GETZCNT: how many wait for semaphore *num* to be 0. OSError."""
        return self._get(num, GETZCNT)

    def last_pid(self, num: int = 0) -> int:
        """semctl(2), GETPID: the process that last operated on semaphore *num* or set it; 0 for none. OSError."""
        return self._get(num, GETPID)

    def _get(self, num: int, cmd: int) -> int:
        self._usable()
        with self._limits_noted(num):
            return semctl(self.id, num, cmd)

    def stat(self) -> SemidDs:
        """semctl(2), IPC_STAT: what the kernel knows of the set. OSError."""
        self._usable()
        return semctl_stat(self.id)


def _number_of_new(count: int | None, values: Sequence[int] | None) -> int:
    """How many semaphores a new set has. ValueError or TypeError for a count or values that no set can have."""
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"the number of semaphores must be an integer, not {count!r}")
        if count < 1:
            raise ValueError(f"a set must have at least 1 semaphore, not {count}")
    if values is None:
        return 1 if count is None else count
    if count is None and not len(values):
        raise ValueError("a set must have at least 1 semaphore, and values is empty")
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
