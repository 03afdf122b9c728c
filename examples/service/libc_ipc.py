"""Shared memory and message queues of POSIX, by the functions of libc, which the standard library lacks."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
# Up to glibc 2.33 they are in a library of their own.
_rt = _libc if hasattr(_libc, "mq_open") else ctypes.CDLL("librt.so.1", use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_long),
        ("maxmsg", ctypes.c_long),
        ("msgsize", ctypes.c_long),
        ("curmsgs", ctypes.c_long),
        ("pad", ctypes.c_long * 4),
    )


def _checked(result: int, call: str, name: str) -> int:
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{call}: {os.strerror(errno)}", name)
    return result


def shm_open(name: str, flags: int, mode: int = 0o600) -> int:
    """Open shared memory and return its descriptor (shm_open(3))."""
    return _checked(_rt.shm_open(name.encode(), flags | os.O_CLOEXEC, ctypes.c_uint(mode)), "shm_open", name)


def shm_unlink(name: str) -> None:
    """Remove a name of shared memory (shm_unlink(3))."""
    _checked(_rt.shm_unlink(name.encode()), "shm_unlink", name)


def mq_open(name: str, flags: int, mode: int = 0o600, *, maxmsg: int, msgsize: int) -> int:
    """Open a message queue and return its descriptor (mq_open(3))."""
    attributes = _Attributes(0, maxmsg, msgsize)
    opened = _rt.mq_open(name.encode(), flags | os.O_CLOEXEC, ctypes.c_uint(mode), ctypes.byref(attributes))
    return _checked(opened, "mq_open", name)


def mq_unlink(name: str) -> None:
    """Remove a name of a message queue (mq_unlink(3))."""
    _checked(_rt.mq_unlink(name.encode()), "mq_unlink", name)


def mq_receive(queue: int, size: int) -> bytes:
    """Receive a message of up to *size* bytes (mq_receive(3)). BlockingIOError if a queue with O_NONBLOCK is empty."""
    buffer = ctypes.create_string_buffer(size)
    _rt.mq_receive.restype = ctypes.c_ssize_t
    length = _checked(_rt.mq_receive(queue, buffer, ctypes.c_size_t(size), None), "mq_receive", str(queue))
    return buffer.raw[:length]
