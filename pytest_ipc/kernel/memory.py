"""Mapped memory: mmap(2), munmap(2), mprotect(2), msync(2), mremap(2), madvise(2), mincore(2), mlock(2).

The stdlib's mmap objects choose their flags, hide their address and lack most of these calls. Here an address is a
number, and a wrong one is a SIGSEGV. Files to map: see files.py.
"""

from __future__ import annotations

from ctypes import addressof, c_int, c_longlong, c_size_t, c_ubyte, c_uint
from typing import Any

from . import abi
from .abi import MAP_32BIT, MAP_LOCKED, MAP_NORESERVE, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
from .libc import SIZE, function, with_large_offsets

__all__ = [
    "MADV_COLD",
    "MADV_COLLAPSE",
    "MADV_DODUMP",
    "MADV_DOFORK",
    "MADV_DONTDUMP",
    "MADV_DONTFORK",
    "MADV_DONTNEED",
    "MADV_DONTNEED_LOCKED",
    "MADV_FREE",
    "MADV_GUARD_INSTALL",
    "MADV_GUARD_REMOVE",
    "MADV_HUGEPAGE",
    "MADV_HWPOISON",
    "MADV_KEEPONFORK",
    "MADV_MERGEABLE",
    "MADV_NOHUGEPAGE",
    "MADV_NORMAL",
    "MADV_PAGEOUT",
    "MADV_POPULATE_READ",
    "MADV_POPULATE_WRITE",
    "MADV_RANDOM",
    "MADV_REMOVE",
    "MADV_SEQUENTIAL",
    "MADV_SOFT_OFFLINE",
    "MADV_UNMERGEABLE",
    "MADV_WILLNEED",
    "MADV_WIPEONFORK",
    "MAP_32BIT",
    "MAP_ANON",
    "MAP_ANONYMOUS",
    "MAP_DENYWRITE",
    "MAP_EXECUTABLE",
    "MAP_FILE",
    "MAP_FIXED",
    "MAP_FIXED_NOREPLACE",
    "MAP_GROWSDOWN",
    "MAP_HUGETLB",
    "MAP_HUGE_1GB",
    "MAP_HUGE_2MB",
    "MAP_HUGE_SHIFT",
    "MAP_LOCKED",
    "MAP_NONBLOCK",
    "MAP_NORESERVE",
    "MAP_POPULATE",
    "MAP_PRIVATE",
    "MAP_SHARED",
    "MAP_SHARED_VALIDATE",
    "MAP_STACK",
    "MAP_SYNC",
    "MAP_UNINITIALIZED",
    "MCL_CURRENT",
    "MCL_FUTURE",
    "MCL_ONFAULT",
    "MLOCK_ONFAULT",
    "MREMAP_DONTUNMAP",
    "MREMAP_FIXED",
    "MREMAP_MAYMOVE",
    "MS_ASYNC",
    "MS_INVALIDATE",
    "MS_SYNC",
    "PROT_EXEC",
    "PROT_GROWSDOWN",
    "PROT_GROWSUP",
    "PROT_NONE",
    "PROT_READ",
    "PROT_WRITE",
    "madvise",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
PROT_GROWSDOWN = 0x0100_0000
PROT_GROWSUP = 0x0200_0000

MAP_FILE = 0
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE = 1, 2, 3
MAP_FIXED = 0x10
MAP_ANON = MAP_ANONYMOUS = 0x20
MAP_GROWSDOWN = 0x100
MAP_DENYWRITE = 0x800
MAP_EXECUTABLE = 0x1000
MAP_POPULATE = 0x8000
MAP_NONBLOCK = 0x1_0000
MAP_STACK = 0x2_0000
MAP_HUGETLB = 0x4_0000
MAP_SYNC = 0x8_0000
MAP_FIXED_NOREPLACE = 0x10_0000
MAP_UNINITIALIZED = 0x400_0000
MAP_HUGE_SHIFT = 26
MAP_HUGE_2MB = 21 << MAP_HUGE_SHIFT
MAP_HUGE_1GB = 30 << MAP_HUGE_SHIFT

MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MLOCK_ONFAULT = 1

MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED = range(5)
MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK = range(8, 12)
MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE = range(12, 16)
MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK = range(16, 20)
MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED, MADV_COLLAPSE = range(20, 26)
MADV_HWPOISON, MADV_SOFT_OFFLINE, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE = range(100, 104)


def _map_failed(address: Any) -> bool:
    return bool(address == SIZE[1])  # (void *)-1


# Addresses are declared as numbers: as pointers, ctypes would convert a string to its own address and return NULL as
# None.
_mmap = function(
    "mmap",
    c_size_t,
    c_size_t,
    c_size_t,
    c_int,
    c_int,
    c_int,
    c_longlong,
    fails=_map_failed,
    symbol=with_large_offsets("mmap"),
)
_munmap = function("munmap", c_int, c_size_t, c_size_t)
_mprotect = function("mprotect", c_int, c_size_t, c_size_t, c_int)
_msync = function("msync", c_int, c_size_t, c_size_t, c_int)
_mremap = function("mremap", c_size_t, c_size_t, c_size_t, c_size_t, c_int, c_size_t, fails=_map_failed)
_madvise = function("madvise", c_int, c_size_t, c_size_t, c_int)
_mincore = function("mincore", c_int, c_size_t, c_size_t, c_size_t)
_mlock = function("mlock", c_int, c_size_t, c_size_t)
_mlock2 = function("mlock2", c_int, c_size_t, c_size_t, c_uint)
_munlock = function("munlock", c_int, c_size_t, c_size_t)
_mlockall = function("mlockall", c_int, c_int)
_munlockall = function("munlockall", c_int)


def mmap(
    address: int | None,
    length: int,
    prot: int = PROT_READ | PROT_WRITE,
    flags: int = MAP_PRIVATE | MAP_ANONYMOUS,
    fd: int = -1,
    offset: int = 0,
) -> int:
    """Map *length* bytes of *fd* from *offset* on, at *address* or where the kernel chooses (mmap(2)). OSError.

    Returns the address.
    """
    abi.mmap_is_known()
    result: int = _mmap(0 if address is None else address, length, prot, flags, fd, offset)
    return result


def munmap(address: int, length: int) -> None:
    """Unmap the range (munmap(2)). OSError."""
    _munmap(address, length)


def mprotect(address: int, length: int, prot: int) -> None:
    """Set the access protection of the pages in the range (mprotect(2)). OSError."""
    _mprotect(address, length, prot)


def msync(address: int, length: int, flags: int = MS_SYNC) -> None:
    """Write the stores in the range to the mapped file (msync(2)). OSError."""
    _msync(address, length, flags)


def mremap(
    old_address: int, old_size: int, new_size: int, flags: int = MREMAP_MAYMOVE, new_address: int | None = None
) -> int:
    """Resize or move a mapping and return its address (mremap(2)). OSError."""
    result: int = _mremap(old_address, old_size, new_size, flags, 0 if new_address is None else new_address)
    return result


def madvise(address: int, length: int, advice: int) -> None:
    """Give advice about the use of the range, or change its state (madvise(2)). OSError."""
    _madvise(address, length, advice)


def mincore(address: int, length: int) -> list[bool]:
    """Return for each page of the range whether it is in memory (mincore(2)). OSError."""
    from mmap import PAGESIZE

    pages = -(-length // PAGESIZE)
    answer = (c_ubyte * pages)()
    _mincore(address, length, addressof(answer))
    return [bool(byte & 1) for byte in answer]


def mlock(address: int, length: int) -> None:
    """Lock the pages of the range into memory (mlock(2)). OSError."""
    _mlock(address, length)


def mlock2(address: int, length: int, flags: int = 0) -> None:
    """Lock pages; with MLOCK_ONFAULT each page at its first use (mlock2(2)). OSError."""
    _mlock2(address, length, flags)


def munlock(address: int, length: int) -> None:
    """Unlock the pages of the range (munlock(2)). OSError."""
    _munlock(address, length)


def mlockall(flags: int) -> None:
    """Lock all current pages (MCL_CURRENT) or all later ones (MCL_FUTURE) of the process (mlockall(2)). OSError."""
    _mlockall(flags)


def munlockall() -> None:
    """Unlock all pages of the process (munlockall(2)). OSError."""
    _munlockall()
