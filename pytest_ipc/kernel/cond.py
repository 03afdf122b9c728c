"""Process-shared condition variables: pthread_cond_init(3), pthread_cond_wait(3), pthread_cond_signal(3)."""

from __future__ import annotations

from ctypes import addressof, c_byte, c_int, c_void_p

from .libc import SIZE, check_integer, error_number, function
from .times import Timespec

__all__ = [
    "COND_BYTES",
    "cond_broadcast",
    "cond_destroy",
    "cond_init",
    "cond_signal",
    "cond_timedwait",
    "cond_wait",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

COND_BYTES = 64  # enough for a pthread_cond_t of every libc and machine; the largest has 48

_attr_init = function("pthread_condattr_init", c_int, c_void_p, fails=error_number)
_attr_destroy = function("pthread_condattr_destroy", c_int, c_void_p, fails=error_number)
_attr_setpshared = function("pthread_condattr_setpshared", c_int, c_void_p, c_int, fails=error_number)
_init = function("pthread_cond_init", c_int, c_void_p, c_void_p, fails=error_number)
_destroy = function("pthread_cond_destroy", c_int, c_void_p, fails=error_number)
_wait = function("pthread_cond_wait", c_int, c_void_p, c_void_p, fails=error_number)
_timedwait = function("pthread_cond_timedwait", c_int, c_void_p, c_void_p, c_void_p, fails=error_number)
_signal = function("pthread_cond_signal", c_int, c_void_p, fails=error_number)
_broadcast = function("pthread_cond_broadcast", c_int, c_void_p, fails=error_number)


def cond_init(address: int, *, shared: bool = True) -> None:
    """Initialize a condition variable in the COND_BYTES at *address* (pthread_cond_init(3)). OSError."""
    check_integer("pthread_cond_init", address, SIZE)
    attributes = (c_byte * 64)()
    _attr_init(addressof(attributes))
    try:
        _attr_setpshared(addressof(attributes), int(shared))
        _init(address, addressof(attributes))
    finally:
        _attr_destroy(addressof(attributes))


def cond_destroy(address: int) -> None:
    """Destroy the condition variable (pthread_cond_destroy(3)). OSError."""
    _destroy(address)


def cond_wait(address: int, mutex: int) -> None:
    """Unlock the mutex, wait for a signal, and lock it again (pthread_cond_wait(3)). OSError: EPERM, EOWNERDEAD.

    A return does not prove a signal: POSIX allows spurious wake-ups.
    """
    _wait(address, mutex)


def cond_timedwait(address: int, mutex: int, until: Timespec) -> None:
    """Wait for a signal *until* a time of CLOCK_REALTIME (pthread_cond_timedwait(3)).

    OSError: ETIMEDOUT, with the mutex locked.
    """
    time = until.pack()
    _timedwait(address, mutex, addressof(time))


def cond_signal(address: int) -> None:
    """Wake at least one waiting thread, if there is one (pthread_cond_signal(3)). OSError."""
    _signal(address)


def cond_broadcast(address: int) -> None:
    """Wake all waiting threads (pthread_cond_broadcast(3)). OSError."""
    _broadcast(address)
