"""Signals below the stdlib: sigaction(2), sigqueue(3) and sigwaitinfo(2) with their values, sigpending(2).

The stdlib's `signal.signal` installs one C handler, which sets a flag; Python code runs later, in the main thread. That
handler is kept: `sigaction_change` reads the current action and writes it back with other flags or another mask. A
ctypes callback as a handler would run Python inside a signal context and is never used.
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

__tracebackhide__ = True  # pytest ends a traceback at the line that called

SA_NOCLDSTOP = 0x1
SA_NOCLDWAIT = 0x2
SA_SIGINFO = 0x4
SA_ONSTACK = 0x0800_0000
SA_RESTART = 0x1000_0000
SA_NODEFER = 0x4000_0000
SA_RESETHAND = 0x8000_0000

_SA_RESTORER = 0x0400_0000  # set by libc for its own use and returned; not a flag of the page

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

# Sent by the kernel, these report a fault and its address, SIGCHLD a child, and any other a descriptor's readiness.
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
    """struct sigaction (sigaction(2)): the handler's address (0: SIG_DFL, 1: SIG_IGN), flags, the mask's signals."""

    handler: int
    flags: int
    mask: frozenset[int]


@dataclass(frozen=True, slots=True)
class SigInfo:
    """siginfo_t (sigaction(2)); members that the signal's origin does not set are 0.

    `value` is the integer of si_value, as sent by sigqueue(3), a timer or mq_notify(3); `status` belongs to SIGCHLD,
    `overrun` to timers, `addr` to faults, `band` and `fd` to descriptors that signal readiness (fcntl(2), F_SETSIG).
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


# sigset and its inverse treat a set as one little-endian number of words, the layout of every 64-bit kernel; abi
# refuses 32-bit big-endian machines, where the words are swapped.
_WORD = abi.POINTER


def sigset(signals: Iterable[int]) -> ctypes.Array[c_byte]:
    """Return a sigset_t of these *signals*. ValueError for an invalid signal number."""
    words = [0] * (abi.SIGSET_BYTES // _WORD)
    for signo in signals:
        if not 1 <= signo <= abi.SIGSET_BYTES * 8:
            raise ValueError(f"signal must be a number from 1 to {abi.SIGSET_BYTES * 8}, not {signo}")
        words[(signo - 1) // (8 * _WORD)] |= 1 << (signo - 1) % (8 * _WORD)
    data = b"".join(word.to_bytes(_WORD, sys.byteorder) for word in words)
    return (c_byte * abi.SIGSET_BYTES).from_buffer_copy(data)


def decode_sigset(raw: bytes) -> frozenset[int]:
    """Return the signals in a sigset_t of libc's or the kernel's size."""
    words = (int.from_bytes(raw[start : start + _WORD], sys.byteorder) for start in range(0, len(raw), _WORD))
    bits = sum(word << 8 * _WORD * index for index, word in enumerate(words))
    return frozenset(index + 1 for index in range(bits.bit_length()) if bits >> index & 1)


def sigaction(signo: int, act: SigAction | None = None) -> SigAction:
    """Install *act* if given, and return the previous action (sigaction(2)). OSError.

    To run Python on delivery, install a handler with `signal.signal` first and change its flags with
    `sigaction_change`.
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
    """Install or return a struct sigaction as bytes, for fast snapshots of every signal (sigaction(2)). OSError."""
    layout = abi.sigaction()
    old: Any = layout()
    _sigaction(signo, act and byref(layout.from_buffer_copy(act)), byref(old))
    start = layout.mask.offset
    used, end = start + abi.KERNEL_SIGSET_BYTES, start + abi.SIGSET_BYTES
    return bytes(old)[:used] + bytes(end - used) + bytes(old)[end:]


def sigaction_change(signo: int, flags: int, mask: Iterable[int] = ()) -> SigAction:
    """Keep the current handler and set its *flags* and *mask*; return the previous action (sigaction(2)). OSError."""
    before = sigaction(signo)
    return sigaction(signo, SigAction(before.handler, flags, frozenset(mask)))


def sigprocmask(how: int, signals: Iterable[int] | None = None) -> frozenset[int]:
    """Change the calling thread's mask unless *signals* is None; return the previous mask (sigprocmask(2)). OSError."""
    new = None if signals is None else sigset(signals)
    old = (c_byte * abi.SIGSET_BYTES)()
    _sigprocmask(how, new and byref(new), byref(old))
    return decode_sigset(bytes(bytearray(old)))


def sigpending() -> frozenset[int]:
    """Return the signals that are pending for this thread or the process (sigpending(2)). OSError."""
    pending = (c_byte * abi.SIGSET_BYTES)()
    _sigpending(byref(pending))
    return decode_sigset(bytes(bytearray(pending)))


def sigsuspend(mask: Iterable[int]) -> None:
    """Wait for a signal under *mask* (sigsuspend(2)). Always raises OSError: EINTR."""
    _sigsuspend(byref(sigset(mask)))


def pause() -> None:
    """Wait for a signal that is caught (pause(2)). Always raises OSError: EINTR."""
    _pause()


def kill(pid: int, signo: int) -> None:
    """Send a signal to a process or a process group (kill(2)). OSError."""
    _kill(pid, signo)


def tgkill(tgid: int, tid: int, signo: int) -> None:
    """Send a signal to a thread (tgkill(2)). OSError."""
    for argument in (tgid, tid, signo):
        check_integer("tgkill", argument, INT)
    syscall(number_of("tgkill"), tgid, tid, signo)


def sigqueue(pid: int, signo: int, value: int = 0) -> None:
    """Send a signal with an integer *value*, received in si_value (sigqueue(3)).

    OSError: EAGAIN if the queue is full.
    """
    check_integer("sigqueue", value, INT)
    _sigqueue(pid, signo, abi.sigval(value))


def sigtimedwait(signals: Iterable[int], timeout: float | None) -> SigInfo:
    """Take one of the pending *signals*, waiting for up to *timeout* seconds or, if None, for ever (sigwaitinfo(2)).

    OSError: EAGAIN on timeout, EINTR if a handler ran, EINVAL for an invalid time.
    """
    wanted, info = sigset(signals), (c_byte * abi.SIGINFO_BYTES)()
    if timeout is None:
        _sigwaitinfo(byref(wanted), byref(info))
    else:
        time = Timespec.of(timeout).pack()
        _sigtimedwait(byref(wanted), byref(info), byref(time))
    return siginfo(string_at(byref(info), abi.SIGINFO_BYTES))


def sigwaitinfo(signals: Iterable[int]) -> SigInfo:
    """Take one of the pending *signals*, waiting for it (sigwaitinfo(2)). OSError: EINTR if a handler ran."""
    return sigtimedwait(signals, None)


def siginfo(raw: bytes) -> SigInfo:
    """Return the members of a siginfo_t."""

    def member(offset: int, ctype: Any = c_int) -> int:
        return int(ctype.from_buffer_copy(raw, offset).value or 0)

    union = abi.SIGINFO_UNION
    signo, errno, code = member(0), member(4), member(8)
    child = signo == _SIGCHLD and code > 0  # si_status has the offset of si_value
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
