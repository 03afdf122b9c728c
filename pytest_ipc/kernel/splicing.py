"""Move data through pipes without copying: splice(2), vmsplice(2). tee(2) is in descriptor.py.

An offset is None where the call gets none, or the place to begin at: the calls give the place after the data with their count.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_int, c_longlong, c_size_t, c_ssize_t, c_uint, c_ulong, c_void_p

from .descriptor import SPLICE_F_NONBLOCK
from .libc import SIZE, check_integer, function

__all__ = ["SPLICE_F_GIFT", "SPLICE_F_MORE", "SPLICE_F_MOVE", "SPLICE_F_NONBLOCK", "splice", "vmsplice"]

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
    """splice(2): move up to *count* bytes; how many were moved, and both offsets as the call left them. OSError."""
    places = [None if offset is None else c_longlong(offset) for offset in (offset_in, offset_out)]
    addresses = [None if place is None else byref(place) for place in places]
    moved: int = _splice(fd_in, addresses[0], fd_out, addresses[1], count, flags)
    after = [None if place is None else place.value for place in places]
    return moved, after[0], after[1]


def vmsplice(fd: int, ranges: Sequence[tuple[int, int]], flags: int = 0) -> int:
    """vmsplice(2): put memory, as addresses and lengths, into a pipe, or fill it from one; how many bytes. OSError."""
    for range in ranges:
        for value in range:
            check_integer("vmsplice", value, SIZE)
    result: int = _vmsplice(fd, (_Iovec * len(ranges))(*(_Iovec(*range) for range in ranges)), len(ranges), flags)
    return result
