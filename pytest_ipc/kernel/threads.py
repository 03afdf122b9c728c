"""Signals in a process with several threads: pthread_sigmask(3), pthread_kill(3), sigwait(3).

A thread is identified by its pthread_t, as returned by threading.get_ident() and pthread_self(3). pthread_sigqueue(3)
and, for stack sizes, pthread_attr_init(3) are here as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes import addressof, byref, c_byte, c_int, c_size_t, c_ulong, c_void_p

from . import abi
from .libc import INT, check_integer, error_number, function, never
from .signals import decode_sigset, sigset

__all__ = [
    "pthread_kill",
    "pthread_self",
    "pthread_sigmask",
    "pthread_sigqueue",
    "sigwait",
    "stack_size",
    "thread_attributes",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_ATTR_BYTES = 128  # enough for a pthread_attr_t of every libc and machine; the largest has 64

_self = function("pthread_self", c_ulong, fails=never)
_sigmask = function("pthread_sigmask", c_int, c_int, c_void_p, c_void_p, fails=error_number)
_kill = function("pthread_kill", c_int, c_ulong, c_int, fails=error_number)
_queue = function("pthread_sigqueue", c_int, c_ulong, c_int, c_void_p, fails=error_number)
_sigwait = function("sigwait", c_int, c_void_p, c_void_p, fails=error_number)
_attr_init = function("pthread_attr_init", c_int, c_void_p, fails=error_number)
_attr_destroy = function("pthread_attr_destroy", c_int, c_void_p, fails=error_number)
_attr_setstacksize = function("pthread_attr_setstacksize", c_int, c_void_p, c_size_t, fails=error_number)
_attr_getstacksize = function("pthread_attr_getstacksize", c_int, c_void_p, c_void_p, fails=error_number)
_getattr = function("pthread_getattr_np", c_int, c_ulong, c_void_p, fails=error_number)


def pthread_self() -> int:
    """Return the pthread_t of this thread (pthread_self(3))."""
    return int(_self())


def pthread_sigmask(how: int, signals: Iterable[int] | None = None) -> frozenset[int]:
    """Change this thread's mask as *how* says, if *signals* is given; return the previous mask (pthread_sigmask(3)).

    OSError.
    """
    old = sigset(())
    _sigmask(how, None if signals is None else byref(sigset(signals)), byref(old))
    return decode_sigset(bytes(bytearray(old)))


def pthread_kill(thread: int, signo: int) -> None:
    """Send a signal to a running thread of this process (pthread_kill(3)). OSError: EINVAL."""
    _kill(thread, signo)


def pthread_sigqueue(thread: int, signo: int, value: int = 0) -> None:
    """Send a signal with an integer *value*, received in si_value (pthread_sigqueue(3)).

    OSError: EAGAIN if the queue is full.
    """
    check_integer("pthread_sigqueue", value, INT)
    _queue(thread, signo, abi.sigval(value))


def sigwait(signals: Iterable[int]) -> int:
    """Take one of the pending *signals*, waiting for it, and return its number (sigwait(3)). OSError."""
    number = c_int()
    _sigwait(byref(sigset(signals)), byref(number))
    return number.value


@contextmanager
def thread_attributes(stack: int) -> Iterator[int]:
    """Yield the address of attributes for threads with a stack of *stack* bytes (pthread_attr_init(3)). OSError."""
    attributes = (c_byte * _ATTR_BYTES)()
    _attr_init(byref(attributes))
    try:
        _attr_setstacksize(byref(attributes), stack)
        yield addressof(attributes)
    finally:
        _attr_destroy(byref(attributes))


def stack_size() -> int:
    """Return the stack size of this thread in bytes (pthread_getattr_np(3)). OSError."""
    attributes, size = (c_byte * _ATTR_BYTES)(), c_size_t()
    _getattr(_self(), byref(attributes))
    try:
        _attr_getstacksize(byref(attributes), byref(size))
    finally:
        _attr_destroy(byref(attributes))
    return size.value
