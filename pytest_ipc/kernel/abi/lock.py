"""The structures of fcntl(2): the range of a record lock, and the receiver of a descriptor's signals."""

from __future__ import annotations

from ctypes import Structure, c_int, c_int64, c_short
from functools import cache

from .layout import known, structure

__all__ = ["f_owner_ex", "flock64"]


@cache
def flock64() -> type[Structure]:
    """Return struct flock with 64-bit offsets: struct flock itself on 64-bit machines, flock64 on the others.

    The members are the same on every machine of the table. Their offsets follow from the alignment of the machine (4 on
    i386, 8 on Arm), which ctypes knows. MIPS and SPARC have other members and are not in the table.
    """
    known("flock64")
    return structure(
        "flock64", [("type", c_short), ("whence", c_short), ("start", c_int64), ("len", c_int64), ("pid", c_int)]
    )


class f_owner_ex(Structure):  # noqa: N801 - the structure's own name
    """struct f_owner_ex, for F_SETOWN_EX and F_GETOWN_EX."""

    _fields_ = [("type", c_int), ("pid", c_int)]
