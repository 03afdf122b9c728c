"""Futex words as objects: futex(2)."""

from __future__ import annotations

import mmap
from ctypes import addressof, c_uint32
from typing import TYPE_CHECKING, Self

from ..kernel.futexes import futex_cmp_requeue, futex_wait, futex_wake
from ..kernel.libc import UINT, check_integer
from ..kernel.times import Timespec
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, timed_out

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Futex"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Futex(Resource):
    """A 32-bit futex word in memory shared with forked children (futex(2)).

    The memory is anonymous: the kernel frees it with the last process that has it.
    """

    def __init__(self, value: int, scope: Scope | None = None) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._word = c_uint32.from_buffer(self._memory)
        self._word.value = value
        super().__init__(scope)

    @classmethod
    def create(cls, value: int = 0, *, scope: Scope | None = None) -> Self:
        """Create a word with the initial *value*. Raises OverflowError beyond 32 bits; OSError (ENOMEM)."""
        check_integer("futex", value, UINT)
        return cls(value, scope)

    def __repr__(self) -> str:
        return "<Futex>" if self._closed else f"<Futex at {self.address:#x}>"

    @property
    def address(self) -> int:
        """The address of the word, in this process and in children forked from it."""
        self._usable()
        return addressof(self._word)

    @property
    def value(self) -> int:
        """The current value of the word. Setting it wakes no waiter."""
        self._usable()
        return self._word.value

    @value.setter
    def value(self, value: int) -> None:
        self._usable()
        check_integer("futex", value, UINT)
        self._word.value = value

    def wait(self, expected: int, *, timeout: Timeout = DEFAULT) -> bool:
        """Sleep until woken, if the word is *expected*; return False at once if it is not (FUTEX_WAIT).

        A wake-up may come without a change: check the value, and wait again. Raises TimeoutError after *timeout*
        seconds.
        """
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        while True:
            try:
                futex_wait(self.address, expected, None if seconds is None else Timespec.of(deadline.left))
                return True
            except InterruptedError:
                continue
            except BlockingIOError:
                return False
            except TimeoutError:
                what = f"{self!r} to be woken while it is {expected}"
                raise timed_out(seconds, what, lambda: f"it is {self.value}") from None

    def wake(self, most: int = 1) -> int:
        """Wake at most *most* waiters and return the number of woken ones (FUTEX_WAKE)."""
        return futex_wake(self.address, most)

    def requeue(self, other: Futex, *, wake: int = 1, most: int = 0x7FFF_FFFF) -> int:
        """Wake *wake* waiters and move at most *most* others to *other* (FUTEX_CMP_REQUEUE).

        Return the number of both. Raises OSError (EAGAIN).
        """
        return futex_cmp_requeue(self.address, wake, most, other.address, self.value)

    def _end(self) -> None:
        vars(self).pop("_word", None)  # it holds the memory
        self._memory.close()
