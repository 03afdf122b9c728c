"""Process-shared read-write locks: pthread_rwlock_init(3), pthread_rwlock_rdlock(3), pthread_rwlock_wrlock(3)."""

from __future__ import annotations

from ctypes import addressof, c_byte, c_int, c_void_p

from .libc import SIZE, check_integer, error_number, function
from .times import Timespec

__all__ = [
    "RWLOCK_BYTES",
    "rwlock_destroy",
    "rwlock_init",
    "rwlock_rdlock",
    "rwlock_timedrdlock",
    "rwlock_timedwrlock",
    "rwlock_tryrdlock",
    "rwlock_trywrlock",
    "rwlock_unlock",
    "rwlock_wrlock",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

RWLOCK_BYTES = 64  # enough for a pthread_rwlock_t of every libc and machine; the largest has 56

_attr_init = function("pthread_rwlockattr_init", c_int, c_void_p, fails=error_number)
_attr_destroy = function("pthread_rwlockattr_destroy", c_int, c_void_p, fails=error_number)
_attr_setpshared = function("pthread_rwlockattr_setpshared", c_int, c_void_p, c_int, fails=error_number)
_init = function("pthread_rwlock_init", c_int, c_void_p, c_void_p, fails=error_number)
_destroy = function("pthread_rwlock_destroy", c_int, c_void_p, fails=error_number)
_rdlock = function("pthread_rwlock_rdlock", c_int, c_void_p, fails=error_number)
_wrlock = function("pthread_rwlock_wrlock", c_int, c_void_p, fails=error_number)
_tryrdlock = function("pthread_rwlock_tryrdlock", c_int, c_void_p, fails=error_number)
_trywrlock = function("pthread_rwlock_trywrlock", c_int, c_void_p, fails=error_number)
_timedrdlock = function("pthread_rwlock_timedrdlock", c_int, c_void_p, c_void_p, fails=error_number)
_timedwrlock = function("pthread_rwlock_timedwrlock", c_int, c_void_p, c_void_p, fails=error_number)
_unlock = function("pthread_rwlock_unlock", c_int, c_void_p, fails=error_number)


def rwlock_init(address: int, *, shared: bool = True) -> None:
    """Initialize a read-write lock in the RWLOCK_BYTES at *address* (pthread_rwlock_init(3)). OSError."""
    check_integer("pthread_rwlock_init", address, SIZE)
    attributes = (c_byte * 64)()
    _attr_init(addressof(attributes))
    try:
        _attr_setpshared(addressof(attributes), int(shared))
        _init(address, addressof(attributes))
    finally:
        _attr_destroy(addressof(attributes))


def rwlock_destroy(address: int) -> None:
    """Destroy the lock (pthread_rwlock_destroy(3)). OSError."""
    _destroy(address)


def rwlock_rdlock(address: int) -> None:
    """Lock for reading, waiting for a writer (pthread_rwlock_rdlock(3)). OSError: EDEADLK, EAGAIN."""
    _rdlock(address)


def rwlock_wrlock(address: int) -> None:
    """Lock for writing, waiting for all others (pthread_rwlock_wrlock(3)). OSError: EDEADLK."""
    _wrlock(address)


def rwlock_tryrdlock(address: int) -> None:
    """Lock for reading if that needs no wait (pthread_rwlock_tryrdlock(3)). OSError: EBUSY."""
    _tryrdlock(address)


def rwlock_trywrlock(address: int) -> None:
    """Lock for writing if the lock is free (pthread_rwlock_trywrlock(3)). OSError: EBUSY."""
    _trywrlock(address)


def rwlock_timedrdlock(address: int, until: Timespec) -> None:
    """Lock for reading, waiting *until* a time of CLOCK_REALTIME (pthread_rwlock_timedrdlock(3)).

    OSError: ETIMEDOUT.
    """
    time = until.pack()
    _timedrdlock(address, addressof(time))


def rwlock_timedwrlock(address: int, until: Timespec) -> None:
    """Lock for writing, waiting *until* a time of CLOCK_REALTIME (pthread_rwlock_timedwrlock(3)).

    OSError: ETIMEDOUT.
    """
    time = until.pack()
    _timedwrlock(address, addressof(time))


def rwlock_unlock(address: int) -> None:
    """Release the lock (pthread_rwlock_unlock(3)). OSError."""
    _unlock(address)
