"""C streams of a shell command: popen(3), pclose(3), and reading and writing them.

A stream is its FILE's address. Python's own files know nothing of it, and its own subprocess module uses none of these.
"""

from __future__ import annotations

from ctypes import c_char_p, c_int, c_size_t, c_void_p, create_string_buffer

from .libc import function, never

__all__ = ["fflush", "fileno", "fread", "fwrite", "pclose", "popen"]


def _null(result: object) -> bool:
    return not result


_popen = function("popen", c_void_p, c_char_p, c_char_p, fails=_null)
_pclose = function("pclose", c_int, c_void_p)
_fileno = function("fileno", c_int, c_void_p)
_fflush = function("fflush", c_int, c_void_p)
_fread = function("fread", c_size_t, c_void_p, c_size_t, c_size_t, c_void_p, fails=never)
_fwrite = function("fwrite", c_size_t, c_char_p, c_size_t, c_size_t, c_void_p, fails=never)


def popen(command: str, type: str) -> int:
    """popen(3): a stream from or to a shell command. OSError."""
    stream: int = _popen(command.encode(), type.encode())
    return stream


def pclose(stream: int) -> int:
    """pclose(3): close the stream and wait for the command; its wait status. OSError (ECHILD if that cannot be had)."""
    status: int = _pclose(stream)
    return status


def fileno(stream: int) -> int:
    """fileno(3): the descriptor under the stream. OSError."""
    fd: int = _fileno(stream)
    return fd


def fflush(stream: int) -> None:
    """fflush(3): write what the stream has buffered. OSError."""
    _fflush(stream)


def fread(stream: int, count: int) -> bytes:
    """fread(3): up to *count* bytes, waiting for them; fewer at the end."""
    buffer = create_string_buffer(count)
    taken = _fread(buffer, 1, count, stream)
    return buffer.raw[:taken]


def fwrite(stream: int, data: bytes) -> int:
    """fwrite(3): write bytes, into the buffer as long as they fit; how many were taken."""
    taken: int = _fwrite(data, 1, len(data), stream)
    return taken
