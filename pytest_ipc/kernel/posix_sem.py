"""POSIX semaphores by the address of their sem_t: sem_open(3), sem_init(3), sem_wait(3), sem_post(3).

libc does nearly all of it in memory and calls the kernel (futex(2)) only to sleep and to wake. It believes every address: one
that is no semaphore's is a SIGSEGV, or somebody else's memory changed.
"""

from __future__ import annotations

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

SEM_VALUE_MAX = 0x7FFF_FFFF
SEM_BYTES = abi.SEM_BYTES

# sem_open has variable arguments in C; with all four given it is called alike on every machine that is known here.
_sem_open = function("sem_open", c_void_p, c_char_p, c_int, c_uint, c_uint, fails=lambda address: address is None)
_sem_close = function("sem_close", c_int, c_void_p)
_sem_unlink = function("sem_unlink", c_int, c_char_p)
_sem_init = function("sem_init", c_int, c_void_p, c_int, c_uint)
_sem_destroy = function("sem_destroy", c_int, c_void_p)
_sem_post = function("sem_post", c_int, c_void_p)
_sem_wait = function("sem_wait", c_int, c_void_p)
_sem_trywait = function("sem_trywait", c_int, c_void_p)
_sem_timedwait = function("sem_timedwait", c_int, c_void_p, c_void_p)
_sem_clockwait = function("sem_clockwait", c_int, c_void_p, c_int, c_void_p)
_sem_getvalue = function("sem_getvalue", c_int, c_void_p, c_void_p)


def name_bytes(name: str | bytes) -> bytes:
    """The name of a POSIX object as C has it. ValueError for a NUL in it; whatever else is wrong is libc's to say."""
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"a name must be str or bytes, not {name!r}")
    encoded = os.fsencode(name)
    if b"\0" in encoded:
        raise ValueError(f"{name!r} cannot be a name: there is a NUL in it")
    return encoded


def _address(name: str, sem: int) -> int:
    # ctypes would take a string for its own address, None for a null pointer, and cut a number to the width of one.
    check_integer(name, sem, SIZE)
    return sem


def sem_open(name: str | bytes, oflag: int, mode: int = 0o600, value: int = 0) -> int:
    """sem_open(3): the address of the semaphore *name*; *mode*, less the umask, and *value* count with O_CREAT. OSError."""
    result: int = _sem_open(name_bytes(name), oflag, mode, value)
    return result


def sem_close(sem: int) -> None:
    """sem_close(3): this process has opened the named semaphore once less. OSError (EINVAL) if it had not at all."""
    _sem_close(_address("sem_close", sem))


def sem_unlink(name: str | bytes) -> None:
    """sem_unlink(3): remove the name at once, and the semaphore with its last user. OSError."""
    _sem_unlink(name_bytes(name))


def sem_init(sem: int, pshared: int, value: int) -> None:
    """sem_init(3): make the SEM_BYTES at *sem* a semaphore, of this process or, if *pshared* is not 0, of all. OSError."""
    _sem_init(_address("sem_init", sem), pshared, value)


def sem_destroy(sem: int) -> None:
    """sem_destroy(3): end what sem_init made. Nobody may wait in it. OSError."""
    _sem_destroy(_address("sem_destroy", sem))


def sem_post(sem: int) -> None:
    """sem_post(3): increment the semaphore and wake one who waits. OSError (EOVERFLOW at SEM_VALUE_MAX)."""
    _sem_post(_address("sem_post", sem))


def sem_wait(sem: int) -> None:
    """sem_wait(3): decrement the semaphore, waiting until that is possible. OSError (EINTR when a handler ran)."""
    _sem_wait(_address("sem_wait", sem))


def sem_trywait(sem: int) -> None:
    """sem_wait(3): decrement the semaphore, if that is possible at once. OSError (EAGAIN if it is not)."""
    _sem_trywait(_address("sem_trywait", sem))


def sem_timedwait(sem: int, abs_timeout: Timespec) -> None:
    """sem_wait(3): the same, up to a moment of CLOCK_REALTIME. OSError (ETIMEDOUT, EINTR, EINVAL)."""
    _sem_timedwait(_address("sem_timedwait", sem), byref(abs_timeout.pack()))


def sem_clockwait(sem: int, clockid: int, abs_timeout: Timespec) -> None:
    """The same by the clock *clockid*, CLOCK_REALTIME or CLOCK_MONOTONIC: POSIX.1-2024, in glibc since 2.30. OSError."""
    _sem_clockwait(_address("sem_clockwait", sem), clockid, byref(abs_timeout.pack()))


def sem_getvalue(sem: int) -> int:
    """sem_getvalue(3): the value of the semaphore now. OSError."""
    value = c_int()
    _sem_getvalue(_address("sem_getvalue", sem), byref(value))
    return value.value
