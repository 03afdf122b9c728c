"""Move data through pipes without copying: splice(2), vmsplice(2). tee(2) is in descriptor.py.

An offset is the position to begin at, or None for a null pointer; the calls return the offset after the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_int, c_longlong, c_size_t, c_ssize_t, c_uint, c_ulong, c_void_p

from .descriptor import SPLICE_F_NONBLOCK
from .libc import SIZE, check_integer, function

__all__ = ["SPLICE_F_GIFT", "SPLICE_F_MORE", "SPLICE_F_MOVE", "SPLICE_F_NONBLOCK", "splice", "vmsplice"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SPLICE_F_MOVE = 1
SPLICE_F_MORE = 4
SPLICE_F_GIFT = 8

_splice = function("splice", c_ssize_t, c_int, c_void_p, c_int, c_void_p, c_size_t, c_uint)
_vmsplice = function("vmsplice", c_ssize_t, c_int, c_void_p, c_ulong, c_uint)


class _Iovec(Structure):
    _fields_ = (("base", c_void_p), ("len", c_size_t))


def splice(
    fd_in: int,
    fd_out: int,
    count: int,
    flags: int = 0,
    *,
    offset_in: int | None = None,
    offset_out: int | None = None,
) -> tuple[int, int | None, int | None]:
    """Move up to *count* bytes (splice(2)); return their number and both offsets after the call. OSError."""
    places = [None if offset is None else c_longlong(offset) for offset in (offset_in, offset_out)]
    addresses = [None if place is None else byref(place) for place in places]
    moved: int = _splice(fd_in, addresses[0], fd_out, addresses[1], count, flags)
    after = [None if place is None else place.value for place in places]
    return moved, after[0], after[1]


def vmsplice(fd: int, ranges: Sequence[tuple[int, int]], flags: int = 0) -> int:
    """Move memory, as addresses and lengths, into a pipe, or read a pipe into it (vmsplice(2)). OSError.

    Returns the number of bytes.
    """
    for range in ranges:
        for value in range:
            check_integer("vmsplice", value, SIZE)
    result: int = _vmsplice(fd, (_Iovec * len(ranges))(*(_Iovec(*range) for range in ranges)), len(ranges), flags)
    return result
