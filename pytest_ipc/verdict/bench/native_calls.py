"""Calls of libc without checks, for measurements: arguments are converted to C once, before the first call.

kernel/ checks and records each call, which takes longer than many of the calls themselves. Here an error is a result of
-1, and its errno is read only then.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_long
from errno import EAGAIN, EINTR, ENOSYS
from functools import cache
from typing import Any

from ...kernel.futexes import FUTEX_OP_CMP_LT, FUTEX_OP_SET, FUTEX_WAIT, FUTEX_WAKE_OP
from ...kernel.libc import NOT_IN_LIBC
from ...kernel.syscalls import number_of
from ...unpatched import os

__all__ = ["HOLDING_THE_GIL", "Word", "check_again", "pointer"]

# For fork(2): a library whose calls keep Python's lock, so that no other state of the interpreter changes.
HOLDING_THE_GIL = ctypes.PyDLL(None)

_LIBRARIES = (None, "librt.so.1")  # before glibc 2.34, mq_send() was in the second

Native = Callable[..., int]


def pointer(name: str, restype: Any = c_long) -> Native:
    """Return the C function *name*, which accepts C objects only and returns -1 on failure. OSError: ENOSYS."""
    for library in _LIBRARIES:
        try:
            found = ctypes.CDLL(library, use_errno=True)[name]
        except (OSError, AttributeError):
            continue
        found.restype = restype
        return found
    raise OSError(ENOSYS, f"{name}: {NOT_IN_LIBC}")


def check_again(name: str) -> None:
    """Return if the call *name*, which has failed, is to be repeated: after a signal. OSError otherwise."""
    errno = ctypes.get_errno()
    if errno != EINTR:
        raise OSError(errno, f"{name}: {os.strerror(errno)}")


class Word:
    """A futex with the values below VALUES in shared memory, at *address*; `view` reads and writes it.

    FUTEX_WAKE_OP stores a value and wakes the waiter in one call; its store is ordered after those before it on every
    architecture.
    """

    VALUES = 2048  # what an operand of FUTEX_WAKE_OP can have

    def __init__(self, address: int) -> None:
        self.view: memoryview[int] = memoryview((ctypes.c_uint32 * 1).from_address(address)).cast("B").cast("I")
        number, where, zero = c_long(number_of("futex")), ctypes.c_void_p(address), c_long(0)
        call, view = pointer("syscall"), self.view
        one, wait, wake = c_long(1), c_long(FUTEX_WAIT), c_long(FUTEX_WAKE_OP)
        values, stores = _operands()

        def store(value: int) -> None:
            if call(number, where, wake, one, zero, where, stores[value]) == -1:
                raise OSError(ctypes.get_errno(), "futex: the word cannot be stored by FUTEX_WAKE_OP")

        def wait_while(value: int) -> None:
            while view[0] == value:
                if call(number, where, wait, values[value], zero, zero, zero) == -1 and ctypes.get_errno() != EAGAIN:
                    check_again("futex")

        self.store: Callable[[int], None] = store
        self.wait_while: Callable[[int], None] = wait_while


@cache
def _operands() -> tuple[list[c_long], list[c_long]]:
    """Return the values of a word in C, and the operations that store them."""
    never = FUTEX_OP_CMP_LT << 24  # the second wake-up of the call: if the old value was below 0
    values = range(Word.VALUES)
    return [c_long(value) for value in values], [c_long(FUTEX_OP_SET << 28 | never | value << 12) for value in values]
