"""Process-shared mutexes: pthread_mutex_init(3), pthread_mutexattr_setpshared(3), pthread_mutexattr_setrobust(3).

The C functions return their error instead of setting errno; here it is raised as an OSError.
"""

from __future__ import annotations

from ctypes import addressof, c_byte, c_int, c_void_p
from functools import partial

from .libc import SIZE, check_integer, error_number, function
from .times import Timespec

__all__ = [
    "MUTEX_BYTES",
    "PTHREAD_MUTEX_ERRORCHECK",
    "PTHREAD_MUTEX_NORMAL",
    "PTHREAD_MUTEX_RECURSIVE",
    "mutex_consistent",
    "mutex_destroy",
    "mutex_init",
    "mutex_lock",
    "mutex_timedlock",
    "mutex_trylock",
    "mutex_unlock",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

MUTEX_BYTES = 64  # enough for a pthread_mutex_t of every libc and machine; the largest has 48

PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK = range(3)


_function = partial(function, fails=error_number)

_attr_init = _function("pthread_mutexattr_init", c_int, c_void_p)
_attr_destroy = _function("pthread_mutexattr_destroy", c_int, c_void_p)
_attr_setpshared = _function("pthread_mutexattr_setpshared", c_int, c_void_p, c_int)
_attr_setrobust = _function("pthread_mutexattr_setrobust", c_int, c_void_p, c_int)
_attr_settype = _function("pthread_mutexattr_settype", c_int, c_void_p, c_int)
_init = _function("pthread_mutex_init", c_int, c_void_p, c_void_p)
_destroy = _function("pthread_mutex_destroy", c_int, c_void_p)
_lock = _function("pthread_mutex_lock", c_int, c_void_p)
_trylock = _function("pthread_mutex_trylock", c_int, c_void_p)
_timedlock = _function("pthread_mutex_timedlock", c_int, c_void_p, c_void_p)
_unlock = _function("pthread_mutex_unlock", c_int, c_void_p)
_consistent = _function("pthread_mutex_consistent", c_int, c_void_p)


def mutex_init(address: int, *, shared: bool = True, robust: bool = False, kind: int = PTHREAD_MUTEX_NORMAL) -> None:
    """Initialize a mutex in the MUTEX_BYTES at *address* (pthread_mutex_init(3)). OSError."""
    check_integer("pthread_mutex_init", address, SIZE)
    attributes = (c_byte * 64)()
    _attr_init(addressof(attributes))
    try:
        _attr_setpshared(addressof(attributes), int(shared))
        _attr_setrobust(addressof(attributes), int(robust))
        _attr_settype(addressof(attributes), kind)
        _init(address, addressof(attributes))
    finally:
        _attr_destroy(addressof(attributes))


def mutex_destroy(address: int) -> None:
    """Destroy the mutex (pthread_mutex_destroy(3)). OSError."""
    _destroy(address)


def mutex_lock(address: int) -> None:
    """Lock the mutex, waiting for it (pthread_mutex_lock(3)).

    OSError: EOWNERDEAD if its owner died; it is locked then.
    """
    _lock(address)


def mutex_trylock(address: int) -> None:
    """Lock the mutex if it is unlocked (pthread_mutex_trylock(3)). OSError: EBUSY, EOWNERDEAD."""
    _trylock(address)


def mutex_timedlock(address: int, until: Timespec) -> None:
    """Lock the mutex, waiting *until* a time of CLOCK_REALTIME (pthread_mutex_timedlock(3)).

    OSError: ETIMEDOUT, EOWNERDEAD.
    """
    time = until.pack()
    _timedlock(address, addressof(time))


def mutex_unlock(address: int) -> None:
    """Unlock the mutex (pthread_mutex_unlock(3)). OSError: EPERM unless the caller owns it, for kinds that check."""
    _unlock(address)


def mutex_consistent(address: int) -> None:
    """Mark the state that a robust mutex protects as consistent (pthread_mutex_consistent(3)).

    OSError: EINVAL unless the mutex is robust and its owner died.
    """
    _consistent(address)
