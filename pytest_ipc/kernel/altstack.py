"""The alternate stack of signal handlers: sigaltstack(2)."""

from __future__ import annotations

from ctypes import byref, c_int, c_void_p
from dataclasses import dataclass
from typing import Any

from . import abi
from .libc import SIZE, UINT, check_integer, function

__all__ = ["SS_AUTODISARM", "SS_DISABLE", "SS_ONSTACK", "Stack", "sigaltstack"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SS_ONSTACK = 1
SS_DISABLE = 2
SS_AUTODISARM = 0x8000_0000

_sigaltstack = function("sigaltstack", c_int, c_void_p, c_void_p)


@dataclass(frozen=True, slots=True)
class Stack:
    """stack_t (sigaltstack(2)): the lowest address, the size in bytes, and flags."""

    sp: int
    size: int
    flags: int = 0


def sigaltstack(stack: Stack | None = None) -> Stack:
    """Set the calling thread's alternate stack if *stack* is given; return the previous one (sigaltstack(2)).

    OSError.
    """
    layout = abi.stack_t()
    new: Any = None
    if stack is not None:
        check_integer("sigaltstack", stack.sp, SIZE)
        check_integer("sigaltstack", stack.size, SIZE)
        check_integer("sigaltstack", stack.flags, UINT)
        new = layout(stack.sp, c_int(stack.flags).value, stack.size)
    old: Any = layout()
    _sigaltstack(new and byref(new), byref(old))
    return Stack(old.sp or 0, old.size, old.flags & 0xFFFF_FFFF)
