"""An unnamed file, in memory if there is memfd_create(2); it ends with the last descriptor that refers to it."""

from __future__ import annotations

from ..unpatched import fcntl, os
from .errnos import EXHAUSTED

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# The descriptor's number, if the limit allows: tests that close or count descriptors use the low ones.
HIGH = 512


def memory_file(name: str) -> int:
    """Create an empty file, close-on-exec and above the standard streams; /proc shows it as *name*. OSError."""
    try:
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    except (OSError, AttributeError) as error:  # a kernel, a sandbox or a libc without the call
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            raise
        path = f"/tmp/{name}-{os.urandom(8).hex()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.unlink(path)
    return put_high(fd)


def put_high(fd: int) -> int:
    """Move the descriptor *fd* to a high number, or at least above the standard streams; return the number. OSError."""
    for lowest in (HIGH, 3) if fd < 3 else (HIGH,):
        try:
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
        except OSError:
            continue  # RLIMIT_NOFILE is lower: try the next, or keep the number
        os.close(fd)
        return high
    return fd


def read_from(fd: int, offset: int) -> bytes:
    """Return the contents of the file *fd* from *offset* to its end, also while others write to it."""
    return os.pread(
        fd, max(0, os.fstat(fd).st_size - offset), offset
    )  # bounded by the size: os.pread allocates its whole buffer first
