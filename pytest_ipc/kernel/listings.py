"""Shared mappings and mounts of this process from one call each, where the files of /proc take ten times as long.

Both return None on kernels without the call, and where there are too many.
"""

from __future__ import annotations

import ctypes
import struct
from errno import ENOENT, ENOTTY

from ..unpatched import fcntl, os

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_PROCMAP_QUERY = 0xC068_6611  # _IOWR('f', 17, struct procmap_query), of Linux 6.11
_SHARED_OR_NEXT = 0x08 | 0x10
# struct procmap_query: size, flags, address; start, end, flags, page size, offset, inode, device; no name, no build id.
_QUERY = struct.pack("3Q 6Q2I 2I2Q", 104, _SHARED_OR_NEXT, *[0] * 13)
_ADDRESS, _END, _ANSWER = slice(16, 24), slice(32, 40), slice(24, 80)
_LISTMOUNT = 458  # on all architectures that are supported, of Linux 6.8
_ROOT = (1 << 64) - 1
_MOST = 256

_syscall = ctypes.CDLL(None, use_errno=True)["syscall"]
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)


def shared_ranges() -> bytes | None:
    """Return the answers about all shared mappings of this process: start, end, inode, device, …

    They are equal if the mappings are (proc_pid_maps(5)). OSError.
    """
    found: list[bytearray] = []
    query = bytearray(_QUERY)
    fd = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while len(found) < _MOST:
            fcntl.ioctl(fd, _PROCMAP_QUERY, query)
            found.append(query[_ANSWER])
            query[_ADDRESS] = query[_END]  # the next one begins there, or later
    except OSError as error:
        if error.errno == ENOENT:
            return b"".join(found)
        if error.errno != ENOTTY:
            raise
    finally:
        os.close(fd)
    return None


def mount_ids() -> tuple[int, ...] | None:
    """Return the unique id of each mount of this mount namespace (listmount(2)); an id is never used again."""
    request = (ctypes.c_uint64 * 3)(24, _ROOT, 0)  # size, root, after which id
    ids = (ctypes.c_uint64 * _MOST)()
    number = _syscall(_LISTMOUNT, ctypes.addressof(request), ctypes.addressof(ids), _MOST, 0)
    return tuple(ids[:number]) if 0 <= number < _MOST else None
