"""The structures of timers, signal stacks and futexes: timer_create(2), setitimer(2), sigaltstack(2), futex(2)."""

from __future__ import annotations

from ctypes import Structure, c_byte, c_int, c_long, c_size_t, c_uint32, c_uint64, c_ulong, c_void_p, sizeof
from functools import cache

from .layout import known, structure, timespec

__all__ = ["futex_waitv", "itimerspec", "itimerval", "robust_list_head", "sigevent", "stack_t", "timeval"]

_SIGEVENT_BYTES = 64  # the kernel's size, to which both libcs pad


class itimerspec(Structure):  # noqa: N801 - the structure's own name
    """struct itimerspec of the calls without a time64 suffix."""

    _fields_ = [("interval", timespec), ("value", timespec)]


class timeval(Structure):  # noqa: N801 - the structure's own name
    """struct timeval of the calls without a time64 suffix."""

    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]


class itimerval(Structure):  # noqa: N801 - the structure's own name
    """struct itimerval of the calls without a time64 suffix."""

    _fields_ = [("interval", timeval), ("value", timeval)]


@cache
def sigevent() -> type[Structure]:
    """Return struct sigevent (sigevent(3type)): union sigval as a word, `tid` for libc's sigev_notify_thread_id."""
    known("sigevent")
    fields = [("value", c_ulong), ("signo", c_int), ("notify", c_int), ("tid", c_int)]
    taken = sizeof(c_ulong) + 3 * sizeof(c_int)
    return structure("sigevent", [*fields, ("pad", c_byte * (_SIGEVENT_BYTES - taken))])


@cache
def stack_t() -> type[Structure]:
    """Return stack_t, for sigaltstack(2)."""
    known("stack_t")
    return structure("stack_t", [("sp", c_void_p), ("flags", c_int), ("size", c_size_t)])


class robust_list_head(Structure):  # noqa: N801 - the structure's own name
    """struct robust_list_head, for set_robust_list(2)."""

    _fields_ = [("next", c_void_p), ("futex_offset", c_long), ("list_op_pending", c_void_p)]


class futex_waitv(Structure):  # noqa: N801 - the structure's own name
    """struct futex_waitv, an entry of the array that futex_waitv(2) takes."""

    _fields_ = [("val", c_uint64), ("uaddr", c_uint64), ("flags", c_uint32), ("reserved", c_uint32)]
