"""Calls of C functions: argument types, the way each one fails, errno.

The functions are looked up in the process's own symbols, CDLL(None), so that the replacements of an LD_PRELOAD library,
fakeroot or a sanitizer are called. ctypes releases the GIL while a call blocks and does not retry on EINTR.

ctypes converts silently (a c_int wraps, some converters truncate a float), so integer arguments are checked before each
call. ctypes keeps errno in a copy per thread, which a Python signal handler with a ctypes call overwrites; such
handlers need `errno_kept`.
"""

from __future__ import annotations

import ctypes
import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import ENOSYS
from functools import cache
from typing import Any, Protocol

from ..unpatched import os
from .errnos import errno_name
from .syscalls import name_of

__all__ = ["errno_kept", "last_success", "recent_calls"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

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

# For values that reach the kernel in a structure or a wider argument, where ctypes would truncate them.
INT, UINT, LONG, ULONG, SIZE = (
    _RANGES[c] for c in (ctypes.c_int, ctypes.c_uint, ctypes.c_long, ctypes.c_ulong, ctypes.c_size_t)
)
SHORT, USHORT = (-0x8000, 0x7FFF), (0, 0xFFFF)

_Call = tuple[str, Sequence[Any], Any, int]  # name, arguments, result, errno

# The last successful call and its result: the evidence for "expected EEXIST, shmget succeeded with 7".
_last: _Call | None = None

# The last calls, successful or not: the evidence before a deviation. For a full trace there is strace(1).
_recent: deque[_Call | str] = deque(maxlen=20)
_TEXT = 100  # bytes of text kept of an argument


class Watcher(Protocol):
    """An observer of every call while a clause is traced (trace_values.py)."""

    def begin(self, name: str, arguments: Sequence[Any]) -> Any:
        """Note a call before it is made; return what end() needs."""

    def end(self, token: Any, name: str, arguments: Sequence[Any], result: Any, errno: int) -> None:
        """Note its outcome."""


_watcher: Watcher | None = None

# What the ENOSYS of a function says that this libc does not have, unlike that of a missing system call.
NOT_IN_LIBC = "this libc has no such function"


def last_success() -> tuple[str, Any] | None:
    """Return name and result of the last successful kernel call of this process, or None."""
    return None if _last is None else (_last[0], _last[2])


def forget_success() -> None:
    """Forget the last successful call, so that a later one can be distinguished from it."""
    global _last
    _last = None


def recent_calls() -> list[str]:
    """Return the last calls of this process through this module, up to 20, oldest first: "shmget(0, 1, 384) = 7".

    The calls of a child follow when its result was read: "[pid 7] shmdt(…) = 0". The contents of pointers are not
    shown, except text. Calls by Python's own modules are not recorded.
    """
    return [entry if isinstance(entry, str) else _as_text(*entry) for entry in tuple(_recent)]


def note_calls(pid: int, calls: Iterable[str]) -> None:
    """Add the recent calls of the child *pid*, which may include those of its own children, to this process's calls."""
    _recent.extend(call if call.startswith("[pid ") else f"[pid {pid}] {call}" for call in calls)


def forget_calls() -> None:
    """Forget the recent calls."""
    _recent.clear()


def watch(watcher: Watcher | None) -> None:
    """Have *watcher* called around every call of this process and its children, or nobody."""
    global _watcher
    _watcher = watcher


def _as_text(name: str, arguments: Sequence[Any], result: Any, errno: int) -> str:
    came = _shown(result)
    if errno:
        came = f"{-1 if result == SIZE[1] else came} {errno_name(errno)}"  # (void *)-1
    return f"{name}({', '.join(map(_shown, arguments))}) = {came}"


def _shown(value: Any) -> str:
    """Return an argument or a result as text; values that can only be addresses in hexadecimal."""
    if isinstance(value, int):
        return hex(value) if value > 0xFFFF_FFFF else str(int(value))
    return "NULL" if value is None else value if isinstance(value, str) else repr(value)


def minus_one(result: Any) -> bool:
    """Return whether *result* means failure for most calls: it is -1, and errno is set."""
    return bool(result == -1)


def error_number(result: Any) -> bool:
    """Return whether *result* means failure for posix_fallocate(3) and the pthread functions: it is an errno, not 0."""
    return bool(result)


def errno_was_set(result: Any) -> bool:
    """Return whether *result* means failure where -1 is also a valid result: errno was cleared and is set now."""
    return bool(result == -1 and ctypes.get_errno())


def never(_result: Any) -> bool:
    """Return False: for calls that cannot fail."""
    return False


def raw_symbol(name: str) -> Any:
    """Return the C function *name* without a type, for a call that is not the test's. AttributeError."""
    return _raw[name]


# Another object of the same library: the types of its functions are its own.
_raw = ctypes.CDLL(None, use_errno=True)

# Before glibc 2.34 some functions were in other libraries; they are opened only for names that are missing.
_FORMER_HOMES = ("librt.so.1", "libpthread.so.0")


def _symbol(name: str) -> Any:
    try:
        return _libc[name]
    except AttributeError:  # it may be in another library
        pass
    for home in _FORMER_HOMES:
        try:
            return ctypes.CDLL(home, use_errno=True)[name]
        except (OSError, AttributeError):
            continue
    return None


def with_large_offsets(name: str) -> str:
    """Return the name of *name* with a 64-bit off_t in this libc: glibc on 32-bit machines has two variants."""
    return name if ctypes.sizeof(ctypes.c_long) == 8 or _symbol(name + "64") is None else name + "64"


def function(
    name: str, restype: Any, *argtypes: Any, fails: Callable[[Any], bool] = minus_one, symbol: str | None = None
) -> Callable[..., Any]:
    """Return the C function *name*: integers are checked against their C types, failure raises OSError.

    *symbol* is its name in this libc, if that differs. A function that this libc does not have raises ENOSYS when it is
    called, like a missing system call: an import error would fail every clause of the platform.
    """
    pointer = _symbol(symbol or name)
    if pointer is None:

        def missing(*_arguments: Any) -> Any:
            raise OSError(ENOSYS, f"{name}: {NOT_IN_LIBC}")

        return missing
    pointer.restype = restype
    pointer.argtypes = tuple(_CONVERTED.get(argtype, argtype) for argtype in argtypes)
    ranges = tuple(_RANGES.get(argtype) for argtype in argtypes)
    texts = tuple(argtype is ctypes.c_char_p for argtype in argtypes)
    call: Callable[..., Any] = _wrapper(ranges, texts, fails)(name, pointer, fails)
    call.__name__ = call.__qualname__ = name
    return call


class _Index:
    """A converter for a C int whose range is checked: ctypes passes an integer so, without a c_int object for it."""

    from_param = operator.index


# What ctypes converts an argument by once it is checked. c_int and the words of the machine take twice as long.
_CONVERTED: dict[Any, Any] = {ctypes.c_int: _Index} | {
    word: ctypes.c_void_p
    for word in (ctypes.c_long, ctypes.c_ulong, ctypes.c_longlong, ctypes.c_size_t, ctypes.c_ssize_t)
    if ctypes.sizeof(word) == ctypes.sizeof(ctypes.c_void_p)
}
if os.uname().machine in ("x86_64", "aarch64"):  # others extend an unsigned int to a word in their own way
    _CONVERTED[ctypes.c_uint] = _Index

# The wrapper of a C function, generated for its arguments as dataclasses generates __init__: a loop over the arguments
# and their ranges takes longer than the call.
_WRAPPER = """
def make(name, pointer, fails):
    def call({parameters}):
        global _last
{checks}
        if _watcher is not None:
            return _watched(name, pointer, fails, ({tuple}))
        try:
            result = pointer({parameters})
        except ctypes.ArgumentError as error:
            raise TypeError(f"{{name}}: {{error}}") from None
        if {failed}:
            raise _failure(name, ({shown}), result, {errno})
        _last = name, ({shown}), result, 0
        _recent.append(_last)
        return result
    return call
"""


# Every C type has these values, and the interpreter compares them three times as fast as the types' own limits.
_SMALL = (1 << 30) - 1


@cache
def _wrapper(
    ranges: tuple[tuple[int, int] | None, ...], texts: tuple[bool, ...], fails: Callable[[Any], bool]
) -> Callable[..., Any]:
    """Return the maker of wrappers of a C function, for integers of these *ranges*, and None for a pointer.

    *texts* are those of the pointers that are a string.
    """
    names = [f"argument_{place}" for place in range(len(ranges))]
    checks = [
        f"        if {name}.__class__ is not int or not 0 <= {name} <= {_SMALL}:\n"
        f"            check_integer(name, {name}, {bounds})"
        for name, bounds in zip(names, ranges, strict=True)
        if bounds is not None
    ]
    # A pointer's text is kept, but no other object: it would keep its buffer, such as a memory map, from being closed.
    shown = [
        name if bounds else f"{name} if {name}.__class__ is int else {'_text' if is_text else '_address'}({name})"
        for name, bounds, is_text in zip(names, ranges, texts, strict=True)
    ]
    source = _WRAPPER.format(
        parameters=", ".join(names),
        tuple="".join(f"{name}, " for name in names),
        checks="\n".join(checks),
        shown="".join(f"{text}, " for text in shown),
        failed={minus_one: "result == -1", never: "False", error_number: "result"}.get(fails, "fails(result)"),
        errno="result" if fails is error_number else "ctypes.get_errno()",
    )
    made: dict[str, Callable[..., Any]] = {}
    exec(source, globals(), made)  # `_last` and `_recent` are this module's
    return made["make"]


def _watched(name: str, pointer: Any, fails: Callable[[Any], bool], arguments: tuple[Any, ...]) -> Any:
    """Make a call that is watched, as the generated wrapper does."""
    global _last
    watcher = _watcher
    assert watcher is not None
    token = watcher.begin(name, arguments)
    try:
        result = pointer(*arguments)
    except ctypes.ArgumentError as error:
        raise TypeError(f"{name}: {error}") from None
    # The errno is read at once: nothing may run between the return and this line.
    failed = fails(result)
    errno = (result if fails is error_number else ctypes.get_errno()) if failed else 0
    watcher.end(token, name, arguments, result, errno)
    shown = tuple(
        value if isinstance(value, int) else _text(value) if isinstance(value, bytes) else _address(value)
        for value in arguments
    )
    if failed:
        raise _failure(name, shown, result, errno)
    _last = name, shown, result, 0
    _recent.append(_last)
    return result


def _text(value: bytes | None) -> bytes | str | None:
    return value if value is None or len(value) <= _TEXT else "&"


def _address(value: Any) -> str | None:
    return None if value is None else "&"


def _failure(name: str, arguments: Sequence[Any], result: Any, errno: int) -> OSError:
    """Record a failed call, and return its error. *errno* was read at once; see errno_kept for signal handlers."""
    _recent.append((name, arguments, result, errno))
    return OSError(errno, f"{name}: {os.strerror(errno)}")


def check_integer(name: str, value: object, bounds: tuple[int, int]) -> None:
    """Check that *value* is an integer within *bounds*, both ends included. TypeError, OverflowError."""
    if not isinstance(value, int):
        raise TypeError(f"{name}: argument must be an integer, not {type(value).__name__} {value!r}")
    if not bounds[0] <= value <= bounds[1]:
        raise OverflowError(
            f"{name}: argument must be from {bounds[0]} to {bounds[1]}, the range of the C type, not {value}"
        )


def check_address(name: str, address: int | None) -> None:
    """Check an address or None: ctypes would convert a string to its own address, and truncate a number."""
    if address is not None:
        check_integer(name, address, SIZE)


@contextmanager
def errno_kept() -> Iterator[None]:
    """Keep errno across a Python signal handler, for the call that it interrupts.

    Without it, a ctypes call in the handler changes the errno of the interrupted call.
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
    """Flush every C stream before a fork, so that its contents are not written twice (fflush(3))."""
    _fflush(None)


def syscall(number: int, *arguments: int) -> int:
    """Make system call *number* with up to six integer arguments, without libc's wrapper (syscall(2)). OSError.

    An argument is a signed or unsigned long: an address may lie in the upper half.
    """
    global _last
    name = name_of(number) if isinstance(number, int) else "syscall"
    for argument in (number, *arguments):
        check_integer(name, argument, (LONG[0], SIZE[1]))
    watcher = _watcher
    token = watcher.begin(name, arguments) if watcher is not None else None
    result: int = _syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    if result == -1:
        errno = ctypes.get_errno()
        if watcher is not None:
            watcher.end(token, name, arguments, result, errno)
        _recent.append((name, arguments, result, errno))
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    _last = (name, arguments, result, 0)
    _recent.append(_last)
    if watcher is not None:
        watcher.end(token, name, arguments, result, 0)
    return result
