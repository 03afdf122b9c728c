"""Calls of C functions: argument types, the way each one fails, errno.

The functions are looked up in the process's own symbols, CDLL(None): what an LD_PRELOAD shim, fakeroot or a sanitizer has put
in libc's place is what gets called. ctypes releases the GIL while a call blocks and does not retry on EINTR.

ctypes converts silently (a c_int wraps, a float is cut by some converters), so the integer arguments are checked here before
each call. It keeps errno in a copy of its own per thread, which a Python signal handler that makes a ctypes call of its own
overwrites before anybody can read it; `errno_kept` is the guard that such handlers need.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..unpatched import os
from .errnos import errno_name
from .syscalls import name_of

__all__ = ["errno_kept", "last_success", "recent_calls"]

_libc = ctypes.CDLL(None, use_errno=True)

_RANGES: dict[Any, tuple[int, int]] = {
    ctype: (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    for ctype, signed in {
        ctypes.c_int: True,
        ctypes.c_long: True,
        ctypes.c_longlong: True,
        ctypes.c_ssize_t: True,
        ctypes.c_uint: False,
        ctypes.c_ulong: False,
        ctypes.c_size_t: False,
    }.items()
    for bits in (8 * ctypes.sizeof(ctype),)
}

# For what reaches the kernel through a structure or a wider argument, where ctypes would cut it to size.
INT, UINT, LONG, ULONG, SIZE = (
    _RANGES[c] for c in (ctypes.c_int, ctypes.c_uint, ctypes.c_long, ctypes.c_ulong, ctypes.c_size_t)
)
SHORT, USHORT = (-0x8000, 0x7FFF), (0, 0xFFFF)

_Call = tuple[str, Sequence[Any], Any, int]  # name, arguments, result, errno

# What the last call that succeeded was and gave: the evidence for "expected EEXIST, shmget succeeded with 7".
_last: _Call | None = None

# The last calls, whatever came of them: how one got to a deviation. More would be a trace, for which there is strace(1).
_recent: deque[_Call | str] = deque(maxlen=20)
_TEXT = 100  # bytes of text that are kept of an argument


def last_success() -> tuple[str, Any] | None:
    """Name and result of the kernel call that last succeeded in this process, or None."""
    return None if _last is None else (_last[0], _last[2])


def forget_success() -> None:
    """Forget the last success, so that a later one can be told from it."""
    global _last
    _last = None


def recent_calls() -> list[str]:
    """The last calls of this process that were made from here, up to twenty and the oldest first: "shmget(0, 1, 384) = 7".

    Those of an actor are among them when its result has been taken: "[pid 7] shmdt(…) = 0". What a pointer points to is not
    told, but for text. Calls that Python's own modules make are not on record.
    """
    return [entry if isinstance(entry, str) else _told(*entry) for entry in tuple(_recent)]


def note_calls(pid: int, calls: Iterable[str]) -> None:
    """Put the recent calls of the child *pid* among those of this process; the child may have done so with a child of its own."""
    _recent.extend(call if call.startswith("[pid ") else f"[pid {pid}] {call}" for call in calls)


def forget_calls() -> None:
    """Forget the recent calls: what comes now begins anew."""
    _recent.clear()


def _told(name: str, arguments: Sequence[Any], result: Any, errno: int) -> str:
    came = _shown(result)
    if errno:
        came = f"{-1 if result == SIZE[1] else came} {errno_name(errno)}"  # an address that is -1
    return f"{name}({', '.join(map(_shown, arguments))}) = {came}"


def _shown(value: Any) -> str:
    """An argument or a result; what can only be an address is told as one."""
    if isinstance(value, int):
        return hex(value) if value > 0xFFFF_FFFF else str(int(value))
    return "NULL" if value is None else value if isinstance(value, str) else repr(value)


def minus_one(result: Any) -> bool:
    """The return convention of nearly every call: -1 is failure, errno says why."""
    return bool(result == -1)


def error_number(result: Any) -> bool:
    """The return convention of posix_fallocate(3) and the pthread family: the result is the errno, or 0."""
    return bool(result)


def errno_was_set(result: Any) -> bool:
    """The convention of calls for which -1 may be a result as well: errno was cleared before, and says whether it is."""
    return bool(result == -1 and ctypes.get_errno())


def never(_result: Any) -> bool:
    """For calls that cannot fail."""
    return False


# What has since moved into libc was elsewhere before glibc 2.34; asked only for names that are not in the process yet.
_FORMER_HOMES = ("librt.so.1", "libpthread.so.0")


def _symbol(name: str) -> Any:
    try:
        return _libc[name]
    except AttributeError:
        pass
    for home in _FORMER_HOMES:
        try:
            return ctypes.CDLL(home, use_errno=True)[name]
        except (OSError, AttributeError):
            continue
    return None


def with_large_offsets(name: str) -> str:
    """The name under which this libc has call *name* with an off_t of 64 bits: glibc on 32-bit machines has two of each."""
    return name if ctypes.sizeof(ctypes.c_long) == 8 or _symbol(name + "64") is None else name + "64"


def function(
    name: str, restype: Any, *argtypes: Any, fails: Callable[[Any], bool] = minus_one, symbol: str | None = None
) -> Callable[..., Any]:
    """The C function *name*: integers checked against their C types, failure raised as OSError.

    *symbol* is what it is called in this libc, where that is not its name.

    A function that this libc does not have fails like a system call that the kernel does not have, with ENOSYS, when it
    is called: a platform is judged clause by clause, and an import error would judge it as a whole.
    """
    pointer = _symbol(symbol or name)
    if pointer is None:

        def missing(*_arguments: Any) -> Any:
            raise OSError(38, f"{name}: this libc has no such function")

        return missing
    pointer.restype = restype
    pointer.argtypes = argtypes
    ranges = tuple(_RANGES.get(argtype) for argtype in argtypes)
    pointers = tuple(place for place, bounds in enumerate(ranges) if bounds is None)

    def call(*arguments: Any) -> Any:
        global _last
        for value, bounds in zip(arguments, ranges, strict=True):
            if bounds is not None:
                check_integer(name, value, bounds)
        try:
            result = pointer(*arguments)
        except ctypes.ArgumentError as error:
            raise TypeError(f"{name}: {error}") from None
        failed, errno = fails(result), 0
        if failed:
            # Read before anything else can run between the return and here; see errno_kept for what still could.
            errno = result if fails is error_number else ctypes.get_errno()
        told: Sequence[Any] = arguments
        for place in pointers:
            value = told[place]
            kind = value.__class__
            if not (kind is int or value is None or (kind is bytes and len(value) <= _TEXT)):
                # An object that is kept would keep what it exports, a memory map for one, from being closed.
                kept = [*told]
                kept[place] = "&"
                told = kept
        entry = (name, told, result, errno)
        _recent.append(entry)
        if failed:
            raise OSError(errno, f"{name}: {os.strerror(errno)}")
        _last = entry
        return result

    call.__name__ = call.__qualname__ = name
    return call


def check_integer(name: str, value: object, bounds: tuple[int, int]) -> None:
    """Raise TypeError or OverflowError unless *value* is an integer within *bounds*, both ends included."""
    if not isinstance(value, int):
        raise TypeError(f"{name}: an integer is needed, not {type(value).__name__} {value!r}")
    if not bounds[0] <= value <= bounds[1]:
        raise OverflowError(f"{name}: {value} is not within {bounds[0]} to {bounds[1]}, the range of the C type")


def check_address(name: str, address: int | None) -> None:
    """The same for an address or None: ctypes would take a string for its own address, and cut a number to a pointer's width."""
    if address is not None:
        check_integer(name, address, SIZE)


@contextmanager
def errno_kept() -> Iterator[None]:
    """Guard a Python signal handler: the errno of the call it interrupted is the same when the handler has run.

    Without it a handler that makes any ctypes call changes what the interrupted call is believed to have failed with.
    """
    kept = ctypes.get_errno()
    try:
        yield
    finally:
        ctypes.set_errno(kept)


_fflush = function("fflush", ctypes.c_int, ctypes.c_void_p, fails=never)
_syscall = _libc["syscall"]
_syscall.restype = ctypes.c_long


def fflush() -> None:
    """fflush(3) of every C stream, so that a fork does not write what they hold twice."""
    _fflush(None)


def syscall(number: int, *arguments: int) -> int:
    """syscall(2): system call *number* with up to six integer arguments, past libc's wrapper. OSError with the errno.

    An argument is a long, or as many bits without a sign: an address may lie in the upper half.
    """
    global _last
    name = name_of(number) if isinstance(number, int) else "syscall"
    for argument in (number, *arguments):
        check_integer(name, argument, (LONG[0], SIZE[1]))
    result: int = _syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    if result == -1:
        errno = ctypes.get_errno()
        _recent.append((name, arguments, result, errno))
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    _last = (name, arguments, result, 0)
    _recent.append(_last)
    return result
