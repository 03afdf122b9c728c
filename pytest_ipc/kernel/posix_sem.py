"""POSIX semaphores by the address of their sem_t: sem_open(3), sem_init(3), sem_wait(3), sem_post(3).

libc does nearly all of it in memory and calls the kernel (futex(2)) only to sleep and to wake. It does not check
addresses: an invalid one is a SIGSEGV, or corrupts other memory.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_uint, c_void_p

from ..unpatched import os
from . import abi
from .libc import SIZE, check_integer, function
from .times import Timespec

__all__ = [
    "SEM_BYTES",
    "SEM_VALUE_MAX",
    "sem_clockwait",
    "sem_close",
    "sem_destroy",
    "sem_getvalue",
    "sem_init",
    "sem_open",
    "sem_post",
    "sem_timedwait",
    "sem_trywait",
    "sem_unlink",
    "sem_wait",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SEM_VALUE_MAX = 0x7FFF_FFFF
SEM_BYTES = abi.SEM_BYTES

# sem_open has variable arguments in C; with all four given the calling convention is the same on every machine of the
# tables.
_sem_open = function("sem_open", c_void_p, c_char_p, c_int, c_uint, c_uint, fails=lambda address: address is None)
_sem_close = function("sem_close", c_int, c_void_p)
_sem_unlink = function("sem_unlink", c_int, c_char_p)
_sem_init = function("sem_init", c_int, c_void_p, c_int, c_uint)
_sem_destroy = function("sem_destroy", c_int, c_void_p)
sem_post_raw: Callable[..., int] = function("sem_post", c_int, c_void_p)
_sem_wait = function("sem_wait", c_int, c_void_p)
sem_trywait_raw: Callable[..., int] = function("sem_trywait", c_int, c_void_p)
_sem_timedwait = function("sem_timedwait", c_int, c_void_p, c_void_p)
_sem_clockwait = function("sem_clockwait", c_int, c_void_p, c_int, c_void_p)
_sem_getvalue = function("sem_getvalue", c_int, c_void_p, c_void_p)


def name_bytes(name: str | bytes) -> bytes:
    """Return the name of a POSIX object for C. ValueError for a name with a NUL; libc checks the rest."""
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"name must be str or bytes, not {name!r}")
    encoded = os.fsencode(name)
    if b"\0" in encoded:
        raise ValueError(f"name must not contain a NUL, which ends it in C, not {name!r}")
    return encoded


def _address(name: str, sem: int) -> int:
    # ctypes would convert a string to its own address and None to NULL, and truncate a number to a pointer's width.
    check_integer(name, sem, SIZE)
    return sem


def sem_open(name: str | bytes, oflag: int, mode: int = 0o600, value: int = 0) -> int:
    """Open the semaphore *name*, or create it with O_CREAT, and return its address (sem_open(3)). OSError.

    *mode*, less the umask, and *value* apply to a new semaphore.
    """
    result: int = _sem_open(name_bytes(name), oflag, mode, value)
    return result


def sem_close(sem: int) -> None:
    """Close the named semaphore once (sem_close(3)). OSError: EINVAL if this process does not have it open."""
    _sem_close(_address("sem_close", sem))


def sem_unlink(name: str | bytes) -> None:
    """Remove the name; the semaphore is freed after its last close (sem_unlink(3)). OSError."""
    _sem_unlink(name_bytes(name))


def sem_init(sem: int, pshared: int, value: int) -> None:
    """Initialize a semaphore in the SEM_BYTES at *sem*, process-shared unless *pshared* is 0 (sem_init(3)). OSError."""
    _sem_init(_address("sem_init", sem), pshared, value)


def sem_destroy(sem: int) -> None:
    """Destroy a semaphore of sem_init; no process may wait on it (sem_destroy(3)). OSError."""
    _sem_destroy(_address("sem_destroy", sem))


def sem_post(sem: int) -> None:
    """Increment the semaphore and wake one waiter (sem_post(3)). OSError: EOVERFLOW at SEM_VALUE_MAX."""
    sem_post_raw(_address("sem_post", sem))


def sem_wait(sem: int) -> None:
    """Decrement the semaphore, waiting until that is possible (sem_wait(3)). OSError: EINTR."""
    _sem_wait(_address("sem_wait", sem))


def sem_trywait(sem: int) -> None:
    """Decrement the semaphore if that is possible at once (sem_wait(3)). OSError: EAGAIN if it is not."""
    sem_trywait_raw(_address("sem_trywait", sem))


def sem_timedwait(sem: int, abs_timeout: Timespec) -> None:
    """Decrement the semaphore, waiting up to a time of CLOCK_REALTIME (sem_wait(3)).

    OSError: ETIMEDOUT, EINTR, EINVAL.
    """
    _sem_timedwait(_address("sem_timedwait", sem), byref(abs_timeout.pack()))


def sem_clockwait(sem: int, clockid: int, abs_timeout: Timespec) -> None:
    """Decrement the semaphore, waiting up to a time of *clockid*, CLOCK_REALTIME or CLOCK_MONOTONIC. OSError.

    POSIX.1-2024; in glibc since 2.30.
    """
    _sem_clockwait(_address("sem_clockwait", sem), clockid, byref(abs_timeout.pack()))


def sem_getvalue(sem: int) -> int:
    """Return the current value of the semaphore (sem_getvalue(3)). OSError."""
    value = c_int()
    _sem_getvalue(_address("sem_getvalue", sem), byref(value))
    return value.value
