"""Signals below the stdlib: sigaction(2), sigqueue(3) and sigwaitinfo(2) with their values, sigpending(2).

The stdlib's `signal.signal` installs one C handler, which only takes note; Python code runs later, in the main thread. That
handler is kept: `sigaction_change` reads the action that stands and writes it back with other flags or another mask. A ctypes
callback as a handler would run Python inside a signal context and is never used.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from ctypes import byref, c_byte, c_int, c_long, c_uint, c_void_p, string_at
from dataclasses import dataclass
from typing import Any

from . import abi
from .libc import INT, UINT, check_integer, function, syscall
from .syscalls import number_of
from .times import Timespec

__all__ = [
    "BUS_ADRALN",
    "BUS_ADRERR",
    "BUS_OBJERR",
    "CLD_CONTINUED",
    "CLD_DUMPED",
    "CLD_EXITED",
    "CLD_KILLED",
    "CLD_STOPPED",
    "POLL_ERR",
    "POLL_HUP",
    "POLL_IN",
    "POLL_MSG",
    "POLL_OUT",
    "POLL_PRI",
    "SA_NOCLDSTOP",
    "SA_NOCLDWAIT",
    "SA_NODEFER",
    "SA_ONSTACK",
    "SA_RESETHAND",
    "SA_RESTART",
    "SA_SIGINFO",
    "SEGV_ACCERR",
    "SEGV_MAPERR",
    "SI_KERNEL",
    "SI_MESGQ",
    "SI_QUEUE",
    "SI_SIGIO",
    "SI_TIMER",
    "SI_TKILL",
    "SI_USER",
    "SigAction",
    "SigInfo",
    "kill",
    "pause",
    "sigaction",
    "sigaction_change",
    "sigpending",
    "sigprocmask",
    "sigqueue",
    "sigsuspend",
    "sigtimedwait",
    "sigwaitinfo",
    "tgkill",
]

SA_NOCLDSTOP = 0x1
SA_NOCLDWAIT = 0x2
SA_SIGINFO = 0x4
SA_ONSTACK = 0x0800_0000
SA_RESTART = 0x1000_0000
SA_NODEFER = 0x4000_0000
SA_RESETHAND = 0x8000_0000

_SA_RESTORER = 0x0400_0000  # libc sets it for its own use and gives it back; it is no flag of the page

SI_USER = 0
SI_KERNEL = 0x80
SI_QUEUE = -1
SI_TIMER = -2
SI_MESGQ = -3
SI_SIGIO = -5
SI_TKILL = -6
CLD_EXITED, CLD_KILLED, CLD_DUMPED, _CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED = range(1, 7)
SEGV_MAPERR, SEGV_ACCERR = 1, 2
BUS_ADRALN, BUS_ADRERR, BUS_OBJERR = 1, 2, 3
POLL_IN, POLL_OUT, POLL_MSG, POLL_ERR, POLL_PRI, POLL_HUP = range(1, 7)

# From the kernel these tell of a fault and its address, SIGCHLD of a child; any other tells of a descriptor's input or output.
_FAULTS = {4, 5, 7, 8, 11}  # SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV
_SIGCHLD = 17

_sigaction = function("sigaction", c_int, c_int, c_void_p, c_void_p)
_sigprocmask = function("sigprocmask", c_int, c_int, c_void_p, c_void_p)
_sigpending = function("sigpending", c_int, c_void_p)
_sigsuspend = function("sigsuspend", c_int, c_void_p)
_sigqueue = function("sigqueue", c_int, c_int, c_int, c_void_p)
_sigtimedwait = function("sigtimedwait", c_int, c_void_p, c_void_p, c_void_p)
_sigwaitinfo = function("sigwaitinfo", c_int, c_void_p, c_void_p)
_kill = function("kill", c_int, c_int, c_int)
_pause = function("pause", c_int)


@dataclass(frozen=True, slots=True)
class SigAction:
    """struct sigaction (sigaction(2)): the handler's address (0 is SIG_DFL, 1 is SIG_IGN), flags, and the mask's signals."""

    handler: int
    flags: int
    mask: frozenset[int]


@dataclass(frozen=True, slots=True)
class SigInfo:
    """siginfo_t (sigaction(2)); members that the signal's origin does not set are 0.

    `value` is si_value's integer, as sigqueue(3), a timer or mq_notify(3) sent it; `status` belongs to SIGCHLD, `overrun` to timers, `addr` to
    faults, `band` and `fd` to descriptors that signal what can be done with them (fcntl(2), F_SETSIG).
    """

    signo: int
    code: int
    errno: int
    pid: int
    uid: int
    status: int
    value: int
    overrun: int = 0
    addr: int = 0
    band: int = 0
    fd: int = 0


# sigset and its inverse treat a set as one little number, which is how every 64-bit kernel lays it out; on a 32-bit
# big-endian machine the words would be the other way round, and abi refuses such machines.
_WORD = abi.POINTER


def sigset(signals: Iterable[int]) -> ctypes.Array[c_byte]:
    """sigset_t with these *signals*. ValueError for what is no signal number."""
    words = [0] * (abi.SIGSET_BYTES // _WORD)
    for signo in signals:
        if not 1 <= signo <= abi.SIGSET_BYTES * 8:
            raise ValueError(f"{signo} is not a signal number")
        words[(signo - 1) // (8 * _WORD)] |= 1 << (signo - 1) % (8 * _WORD)
    data = b"".join(word.to_bytes(_WORD, sys.byteorder) for word in words)
    return (c_byte * abi.SIGSET_BYTES).from_buffer_copy(data)


def decode_sigset(raw: bytes) -> frozenset[int]:
    """The signals in a sigset_t, of libc's size or the kernel's."""
    words = (int.from_bytes(raw[start : start + _WORD], sys.byteorder) for start in range(0, len(raw), _WORD))
    bits = sum(word << 8 * _WORD * index for index, word in enumerate(words))
    return frozenset(index + 1 for index in range(bits.bit_length()) if bits >> index & 1)


def sigaction(signo: int, act: SigAction | None = None) -> SigAction:
    """sigaction(2): install *act* if it is given; the action that stood before. OSError.

    To run Python on delivery, install a handler with `signal.signal` first and change its flags with `sigaction_change`.
    """
    layout = abi.sigaction()
    new: Any = None
    if act is not None:
        check_integer("sigaction", act.flags, UINT)
        new = layout()
        new.handler, new.flags = act.handler, ctypes.c_int(act.flags).value
        new.mask = sigset(act.mask)
    old: Any = layout()
    _sigaction(signo, new and byref(new), byref(old))
    mask = bytes(bytearray(old.mask))[: abi.KERNEL_SIGSET_BYTES]
    return SigAction(old.handler or 0, old.flags & 0xFFFF_FFFF & ~_SA_RESTORER, decode_sigset(mask))


def sigaction_raw(signo: int, act: bytes | None = None) -> bytes:
    """sigaction(2) with struct sigaction as it is: what a snapshot of every signal keeps, at a tenth of the price. OSError."""
    layout = abi.sigaction()
    old: Any = layout()
    _sigaction(signo, act and byref(layout.from_buffer_copy(act)), byref(old))
    start = layout.mask.offset
    used, end = start + abi.KERNEL_SIGSET_BYTES, start + abi.SIGSET_BYTES
    return bytes(old)[:used] + bytes(end - used) + bytes(old)[end:]


def sigaction_change(signo: int, flags: int, mask: Iterable[int] = ()) -> SigAction:
    """sigaction(2): the handler that stands, with exactly these *flags* and *mask*; the action before. OSError."""
    before = sigaction(signo)
    return sigaction(signo, SigAction(before.handler, flags, frozenset(mask)))


def sigprocmask(how: int, signals: Iterable[int] | None = None) -> frozenset[int]:
    """sigprocmask(2): change the calling thread's mask unless *signals* is None; the mask before. OSError."""
    new = None if signals is None else sigset(signals)
    old = (c_byte * abi.SIGSET_BYTES)()
    _sigprocmask(how, new and byref(new), byref(old))
    return decode_sigset(bytes(bytearray(old)))


def sigpending() -> frozenset[int]:
    """sigpending(2): the signals that wait for delivery to this thread or to the process. OSError."""
    pending = (c_byte * abi.SIGSET_BYTES)()
    _sigpending(byref(pending))
    return decode_sigset(bytes(bytearray(pending)))


def sigsuspend(mask: Iterable[int]) -> None:
    """sigsuspend(2): wait for a signal under *mask*. Always ends in OSError, EINTR."""
    _sigsuspend(byref(sigset(mask)))


def pause() -> None:
    """pause(2): wait for a signal that is caught. Always ends in OSError, EINTR."""
    _pause()


def kill(pid: int, signo: int) -> None:
    """kill(2): send a signal to a process or a group. OSError."""
    _kill(pid, signo)


def tgkill(tgid: int, tid: int, signo: int) -> None:
    """tgkill(2): send a signal to one thread. OSError."""
    for argument in (tgid, tid, signo):
        check_integer("tgkill", argument, INT)
    syscall(number_of("tgkill"), tgid, tid, signo)


def sigqueue(pid: int, signo: int, value: int = 0) -> None:
    """sigqueue(3): send a signal with an integer *value*, which the receiver finds in si_value. OSError (EAGAIN when full)."""
    check_integer("sigqueue", value, INT)
    _sigqueue(pid, signo, abi.sigval(value))


def sigtimedwait(signals: Iterable[int], timeout: float | None) -> SigInfo:
    """sigwaitinfo(2): take one of the pending *signals*, waiting up to *timeout* seconds, for ever if it is None.

    OSError: EAGAIN when the time is over, EINTR when a handler ran, EINVAL for an invalid time.
    """
    wanted, info = sigset(signals), (c_byte * abi.SIGINFO_BYTES)()
    if timeout is None:
        _sigwaitinfo(byref(wanted), byref(info))
    else:
        time = Timespec.of(timeout).pack()
        _sigtimedwait(byref(wanted), byref(info), byref(time))
    return siginfo(string_at(byref(info), abi.SIGINFO_BYTES))


def sigwaitinfo(signals: Iterable[int]) -> SigInfo:
    """sigwaitinfo(2): take one of the pending *signals*, waiting for it. OSError (EINTR when a handler ran)."""
    return sigtimedwait(signals, None)


def siginfo(raw: bytes) -> SigInfo:
    """What a siginfo_t says."""

    def member(offset: int, ctype: Any = c_int) -> int:
        return int(ctype.from_buffer_copy(raw, offset).value or 0)

    union = abi.SIGINFO_UNION
    signo, errno, code = member(0), member(4), member(8)
    child = signo == _SIGCHLD and code > 0  # si_status lies where si_value would
    ready = 0 < code < SI_KERNEL and signo not in {_SIGCHLD, *_FAULTS}
    from_process = code in (SI_USER, SI_QUEUE, SI_MESGQ, SI_TKILL) or child
    return SigInfo(
        signo,
        code,
        errno,
        pid=member(union) if from_process else 0,
        uid=member(union + 4, c_uint) if from_process else 0,
        status=member(union + 8) if child else 0,
        value=member(union + 8) if code in (SI_QUEUE, SI_TIMER, SI_MESGQ) else 0,
        overrun=member(union + 4) if code == SI_TIMER else 0,
        addr=member(union, c_void_p) if signo in _FAULTS and code > 0 else 0,
        band=member(union, c_long) if ready else 0,
        fd=member(union + abi.POINTER) if ready else 0,
    )
