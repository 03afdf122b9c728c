"""An unnamed file, in memory if there is memfd_create(2); it ends with the last descriptor that refers to it."""

from __future__ import annotations

from contextlib import suppress

from ..unpatched import fcntl, os

# Where the descriptor is put, if the limit allows: out of the way of tests that close or count the lower ones.
HIGH = 512


def memory_file(name: str) -> int:
    """Return a descriptor of a new, empty file, closed on exec and above the standard streams; *name* is what /proc shows. OSError."""
    try:
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    except (OSError, AttributeError):  # an old kernel or a sandbox without it; a libc without it
        path = f"/tmp/{name}-{os.urandom(8).hex()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.unlink(path)
    return put_high(fd)


def put_high(fd: int) -> int:
    """Move the descriptor *fd* to a high number, or at least above the standard streams; the new number. OSError."""
    for lowest in (HIGH, 3) if fd < 3 else (HIGH,):
        with suppress(OSError):
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
            os.close(fd)
            return high
    return fd


def read_from(fd: int, offset: int) -> bytes:
    """Everything in the file *fd* from *offset* on, whoever may be writing to it."""
    return os.pread(
        fd, max(0, os.fstat(fd).st_size - offset), offset
    )  # no more: a buffer of what could be is not to be had
