"""The creation time of a file, which distinguishes it from a later file with the same inode number.

File systems such as ext4 reuse inode numbers at once, and only statx(2) shows the birth time. The first call loads
ctypes.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

__all__ = ["born"]

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_MASK, _BTIME, _SIZE = 0, 80, 256  # offsets in struct statx, and its size


@cache
def _statx() -> Any:
    import ctypes

    try:
        call = ctypes.CDLL(None).statx
    except AttributeError:  # a libc from before 2018
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    return call


def born(fd: int) -> int | None:
    """Return the birth time of the file open as *fd*, in nanoseconds since the Epoch.

    Return None if the file system keeps none, or the kernel or libc has no statx(2).
    """
    call = _statx()
    if call is None:
        return None
    import ctypes

    buffer = ctypes.create_string_buffer(_SIZE)
    if call(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) != 0:
        return None
    (mask,) = struct.unpack_from("=I", buffer, _MASK)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, _BTIME)
    return (int(seconds) * 10**9 + int(nanoseconds) or None) if mask & _STATX_BTIME else None
