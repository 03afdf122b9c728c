"""Raw I/O on descriptors, pipes and FIFOs: open(2), read(2), write(2), pipe(2), fcntl(2), mkfifo(3), tee(2).

The stdlib's os.read, os.write and os.open retry after EINTR (PEP 475) and hide it; these do not.
"""

from __future__ import annotations

from ctypes import c_char_p, c_int, c_long, c_size_t, c_ssize_t, c_uint, c_void_p, create_string_buffer

from ..unpatched import os
from .libc import INT, check_integer, function

__all__ = [
    "F_GETPIPE_SZ",
    "F_SETPIPE_SZ",
    "O_NOTIFICATION_PIPE",
    "PIPE_BUF",
    "close",
    "fcntl",
    "getpipe_size",
    "mkfifo",
    "mkfifoat",
    "open",
    "pipe2",
    "read",
    "setpipe_size",
    "tee",
    "write",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

F_SETPIPE_SZ = 1031
F_GETPIPE_SZ = 1032
O_NOTIFICATION_PIPE = os.O_EXCL  # pipe2(2) reuses a flag that has no other meaning for a pipe
PIPE_BUF = 4096  # limits.h on Linux, whatever the page size
SPLICE_F_NONBLOCK = 2

_open = function("open", c_int, c_char_p, c_int, c_uint)
_close = function("close", c_int, c_int)
_read = function("read", c_ssize_t, c_int, c_void_p, c_size_t)
_write = function("write", c_ssize_t, c_int, c_char_p, c_size_t)
_pipe2 = function("pipe2", c_int, c_void_p, c_int)
_fcntl = function("fcntl", c_int, c_int, c_int, c_long)
_mkfifo = function("mkfifo", c_int, c_char_p, c_uint)
_mkfifoat = function("mkfifoat", c_int, c_int, c_char_p, c_uint)
_tee = function("tee", c_ssize_t, c_int, c_int, c_size_t, c_uint)

Path = str | bytes | os.PathLike[str]


def path_bytes(path: Path) -> bytes:
    """Return *path* for C. ValueError for a NUL, which would end it."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"path must not contain a NUL, which ends it in C, not {path!r}")
    return encoded


def open(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open the file at *path* and return its descriptor (open(2)). OSError, EINTR included."""
    result: int = _open(path_bytes(path), flags, mode)
    return result


def close(fd: int) -> None:
    """Close the descriptor (close(2)). OSError."""
    _close(fd)


def read(fd: int, count: int) -> bytes:
    """Read up to *count* bytes; none at end of file (read(2)). OSError, EINTR included."""
    buffer = create_string_buffer(count)
    taken = _read(fd, buffer, count)
    return buffer.raw[:taken]


def write(fd: int, data: bytes) -> int:
    """Write *data* and return the number of bytes written (write(2)). OSError, EINTR included.

    A broken pipe raises SIGPIPE if its disposition is the default.
    """
    result: int = _write(fd, data, len(data))
    return result


def pipe2(flags: int = 0) -> tuple[int, int]:
    """Create a pipe and return its read end and its write end (pipe2(2)). OSError."""
    fds = (c_int * 2)()
    _pipe2(fds, flags)
    return fds[0], fds[1]


def fcntl(fd: int, cmd: int, arg: int = 0) -> int:
    """Call fcntl(2) with an integer argument. OSError."""
    result: int = _fcntl(fd, cmd, arg)
    return result


def getpipe_size(fd: int) -> int:
    """Return the capacity of the pipe or FIFO in bytes (fcntl(2), F_GETPIPE_SZ). OSError."""
    return fcntl(fd, F_GETPIPE_SZ)


def setpipe_size(fd: int, size: int) -> int:
    """Set the capacity to at least *size* bytes; return the new capacity (fcntl(2), F_SETPIPE_SZ). OSError."""
    check_integer("fcntl", size, INT)  # the page says int; the kernel truncates the long that fcntl(2) carries
    return fcntl(fd, F_SETPIPE_SZ, size)


def mkfifo(path: Path, mode: int = 0o666) -> None:
    """Create a FIFO at *path* with *mode* less the umask (mkfifo(3)). OSError."""
    _mkfifo(path_bytes(path), mode)


def mkfifoat(dirfd: int, path: Path, mode: int = 0o666) -> None:
    """Create a FIFO at *path*, relative to the directory *dirfd* (mkfifoat(3)). OSError."""
    _mkfifoat(dirfd, path_bytes(path), mode)


def tee(fd_in: int, fd_out: int, count: int, flags: int = 0) -> int:
    """Copy up to *count* bytes from one pipe to another without consuming them (tee(2)). OSError.

    Returns the number of bytes; 0 if the pipe is empty and has no writer.
    """
    result: int = _tee(fd_in, fd_out, count, flags)
    return result
