"""C streams of a shell command: popen(3), pclose(3), and reading and writing them.

A stream is the address of its FILE. Python's files and its subprocess module use none of these functions.
"""

from __future__ import annotations

from ctypes import c_char_p, c_int, c_size_t, c_void_p, create_string_buffer

from .libc import function, never

__all__ = ["fflush", "fileno", "fread", "fwrite", "pclose", "popen"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def _null(result: object) -> bool:
    return not result


_popen = function("popen", c_void_p, c_char_p, c_char_p, fails=_null)
_pclose = function("pclose", c_int, c_void_p)
_fileno = function("fileno", c_int, c_void_p)
_fflush = function("fflush", c_int, c_void_p)
_fread = function("fread", c_size_t, c_void_p, c_size_t, c_size_t, c_void_p, fails=never)
_fwrite = function("fwrite", c_size_t, c_char_p, c_size_t, c_size_t, c_void_p, fails=never)


def popen(command: str, type: str) -> int:
    """Start a shell command and return a stream from or to it (popen(3)). OSError."""
    stream: int = _popen(command.encode(), type.encode())
    return stream


def pclose(stream: int) -> int:
    """Close the stream, wait for the command and return its wait status (pclose(3)).

    OSError: ECHILD if it is not available.
    """
    status: int = _pclose(stream)
    return status


def fileno(stream: int) -> int:
    """Return the descriptor of the stream (fileno(3)). OSError."""
    fd: int = _fileno(stream)
    return fd


def fflush(stream: int) -> None:
    """Write the buffered data of the stream (fflush(3)). OSError."""
    _fflush(stream)


def fread(stream: int, count: int) -> bytes:
    """Read *count* bytes, or fewer at end of file (fread(3))."""
    buffer = create_string_buffer(count)
    taken = _fread(buffer, 1, count, stream)
    return buffer.raw[:taken]


def fwrite(stream: int, data: bytes) -> int:
    """Write *data* to the stream's buffer and return the number of bytes (fwrite(3))."""
    taken: int = _fwrite(data, 1, len(data), stream)
    return taken
