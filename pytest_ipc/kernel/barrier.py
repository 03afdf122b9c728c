"""Process-shared barriers: pthread_barrier_init(3), pthread_barrierattr_setpshared(3), pthread_barrier_wait(3)."""

from __future__ import annotations

from ctypes import addressof, c_byte, c_int, c_uint, c_void_p

from ..unpatched import os
from .libc import SIZE, check_integer, error_number, function, never

__all__ = ["BARRIER_BYTES", "PTHREAD_BARRIER_SERIAL_THREAD", "barrier_destroy", "barrier_init", "barrier_wait"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

BARRIER_BYTES = 64  # enough for a pthread_barrier_t of every libc and machine; the largest has 32
PTHREAD_BARRIER_SERIAL_THREAD = -1

_attr_init = function("pthread_barrierattr_init", c_int, c_void_p, fails=error_number)
_attr_destroy = function("pthread_barrierattr_destroy", c_int, c_void_p, fails=error_number)
_attr_setpshared = function("pthread_barrierattr_setpshared", c_int, c_void_p, c_int, fails=error_number)
_init = function("pthread_barrier_init", c_int, c_void_p, c_void_p, c_uint, fails=error_number)
_destroy = function("pthread_barrier_destroy", c_int, c_void_p, fails=error_number)
_wait = function("pthread_barrier_wait", c_int, c_void_p, fails=never)


def barrier_init(address: int, count: int, *, shared: bool = True) -> None:
    """Initialize a barrier for *count* threads in the BARRIER_BYTES at *address* (pthread_barrier_init(3)). OSError."""
    check_integer("pthread_barrier_init", address, SIZE)
    attributes = (c_byte * 64)()
    _attr_init(addressof(attributes))
    try:
        _attr_setpshared(addressof(attributes), int(shared))
        _init(address, addressof(attributes), count)
    finally:
        _attr_destroy(addressof(attributes))


def barrier_destroy(address: int) -> None:
    """Destroy the barrier (pthread_barrier_destroy(3)). OSError."""
    _destroy(address)


def barrier_wait(address: int) -> int:
    """Wait for the other threads (pthread_barrier_wait(3)). OSError.

    Returns PTHREAD_BARRIER_SERIAL_THREAD in one thread, 0 in the others.
    """
    result: int = _wait(address)
    if result not in (0, PTHREAD_BARRIER_SERIAL_THREAD):
        raise OSError(result, f"pthread_barrier_wait: {os.strerror(result)}")
    return result
