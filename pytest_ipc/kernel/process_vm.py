"""Copy between the memory of two processes: process_vm_readv(2) and process_vm_writev(2)."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, c_int, c_size_t, c_ssize_t, c_ulong, c_void_p
from typing import Any

from .libc import SIZE, check_integer, function

__all__ = ["Range", "process_vm_readv", "process_vm_writev"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Range = tuple[int, int]  # an address and a number of bytes

_ARGUMENTS = (c_int, c_void_p, c_ulong, c_void_p, c_ulong, c_ulong)
_readv = function("process_vm_readv", c_ssize_t, *_ARGUMENTS)
_writev = function("process_vm_writev", c_ssize_t, *_ARGUMENTS)


class Iovec(Structure):
    """struct iovec (iovec(3type))."""

    _fields_ = [("base", c_void_p), ("length", c_size_t)]


def process_vm_readv(pid: int, local: Sequence[Range], remote: Sequence[Range], flags: int = 0) -> int:
    """Read the ranges *remote* of process *pid* into the ranges *local* (process_vm_readv(2)).

    Returns the number of bytes. OSError.
    """
    mine, theirs = _array(local), _array(remote)
    result: int = _readv(pid, mine, len(local), theirs, len(remote), flags)
    return result


def process_vm_writev(pid: int, local: Sequence[Range], remote: Sequence[Range], flags: int = 0) -> int:
    """Write the ranges *local* to the ranges *remote* of process *pid* (process_vm_writev(2)).

    Returns the number of bytes. OSError.
    """
    mine, theirs = _array(local), _array(remote)
    result: int = _writev(pid, mine, len(local), theirs, len(remote), flags)
    return result


def _array(ranges: Sequence[Range]) -> Any:
    for number in (number for place in ranges for number in place):
        check_integer("process_vm_readv", number, SIZE)
    return (Iovec * len(ranges))(*(Iovec(*place) for place in ranges))
