"""Memory files: shm_open(3), memfd_create(2), their size, allocation and seals.

The stdlib's os.ftruncate, os.posix_fallocate and os.memfd_create retry after EINTR (PEP 475) or accept only some flags.
"""

from __future__ import annotations

from ctypes import c_char_p, c_int, c_longlong, c_uint

from .descriptor import Path, fcntl, path_bytes
from .libc import error_number, function, with_large_offsets

__all__ = [
    "FALLOC_FL_COLLAPSE_RANGE",
    "FALLOC_FL_INSERT_RANGE",
    "FALLOC_FL_KEEP_SIZE",
    "FALLOC_FL_PUNCH_HOLE",
    "FALLOC_FL_UNSHARE_RANGE",
    "FALLOC_FL_ZERO_RANGE",
    "F_ADD_SEALS",
    "F_GET_SEALS",
    "F_SEAL_EXEC",
    "F_SEAL_FUTURE_WRITE",
    "F_SEAL_GROW",
    "F_SEAL_SEAL",
    "F_SEAL_SHRINK",
    "F_SEAL_WRITE",
    "MFD_ALLOW_SEALING",
    "MFD_CLOEXEC",
    "MFD_EXEC",
    "MFD_HUGETLB",
    "MFD_HUGE_1GB",
    "MFD_HUGE_2MB",
    "MFD_NOEXEC_SEAL",
    "add_seals",
    "fallocate",
    "ftruncate",
    "get_seals",
    "memfd_create",
    "posix_fallocate",
    "shm_open",
    "shm_unlink",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC = 1, 2, 4, 8, 16
MFD_HUGE_2MB, MFD_HUGE_1GB = 21 << 26, 30 << 26

F_ADD_SEALS, F_GET_SEALS = 1033, 1034
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC = 1, 2, 4, 8, 16, 32

FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02
FALLOC_FL_COLLAPSE_RANGE = 0x08
FALLOC_FL_ZERO_RANGE = 0x10
FALLOC_FL_INSERT_RANGE = 0x20
FALLOC_FL_UNSHARE_RANGE = 0x40

_shm_open = function("shm_open", c_int, c_char_p, c_int, c_uint)
_shm_unlink = function("shm_unlink", c_int, c_char_p)
_memfd_create = function("memfd_create", c_int, c_char_p, c_uint)
_ftruncate = function("ftruncate", c_int, c_int, c_longlong, symbol=with_large_offsets("ftruncate"))
_fallocate = function("fallocate", c_int, c_int, c_int, c_longlong, c_longlong, symbol=with_large_offsets("fallocate"))
_posix_fallocate = function(
    "posix_fallocate",
    c_int,
    c_int,
    c_longlong,
    c_longlong,
    fails=error_number,
    symbol=with_large_offsets("posix_fallocate"),
)


def shm_open(name: Path, oflag: int, mode: int = 0o600) -> int:
    """Open the POSIX shared memory object *name*, or create it with O_CREAT (shm_open(3)); return a descriptor.

    OSError.
    """
    result: int = _shm_open(path_bytes(name), oflag, mode)
    return result


def shm_unlink(name: Path) -> None:
    """Remove the name; the object is freed after its last close and munmap (shm_open(3)). OSError."""
    _shm_unlink(path_bytes(name))


def memfd_create(name: str | bytes, flags: int = MFD_CLOEXEC) -> int:
    """Create an anonymous file in memory and return its descriptor (memfd_create(2)). OSError.

    /proc shows the file as memfd:*name*.
    """
    result: int = _memfd_create(path_bytes(name), flags)
    return result


def ftruncate(fd: int, length: int) -> None:
    """Set the size of the file to *length* bytes; added bytes read as zero (ftruncate(2)). OSError, EINTR included."""
    _ftruncate(fd, length)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Allocate the range, or do what the FALLOC_FL_* flags in *mode* say (fallocate(2)). OSError, EINTR included."""
    _fallocate(fd, mode, offset, length)


def posix_fallocate(fd: int, offset: int, length: int) -> None:
    """Allocate the range, so that later stores to it do not fail (posix_fallocate(3)). OSError, EINTR included."""
    _posix_fallocate(fd, offset, length)


def add_seals(fd: int, seals: int) -> None:
    """Add the F_SEAL_* flags in *seals*; a seal cannot be removed (fcntl(2), F_ADD_SEALS). OSError."""
    fcntl(fd, F_ADD_SEALS, seals)


def get_seals(fd: int) -> int:
    """Return the seals of the file (fcntl(2), F_GET_SEALS). OSError: EINVAL for a file without seal support."""
    return fcntl(fd, F_GET_SEALS)
