"""Observe and control another process: ptrace(2).

The calls act on one thread, by its thread id, which reports each stop to its tracer through waitpid(2). Operations that
take a signal, an option or nothing are `ptrace`; those that copy a structure have a function each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ctypes import (
    Structure,
    addressof,
    c_byte,
    c_int,
    c_long,
    c_size_t,
    c_ulong,
    c_void_p,
    create_string_buffer,
    set_errno,
    sizeof,
    string_at,
)
from dataclasses import dataclass

from . import abi
from .libc import LONG, SIZE, check_integer, errno_was_set, function
from .signals import SigInfo, decode_sigset, siginfo, sigset

__all__ = [
    "PTRACE_ATTACH",
    "PTRACE_CONT",
    "PTRACE_DETACH",
    "PTRACE_EVENT_CLONE",
    "PTRACE_EVENT_EXEC",
    "PTRACE_EVENT_EXIT",
    "PTRACE_EVENT_FORK",
    "PTRACE_EVENT_SECCOMP",
    "PTRACE_EVENT_STOP",
    "PTRACE_EVENT_VFORK",
    "PTRACE_EVENT_VFORK_DONE",
    "PTRACE_GETEVENTMSG",
    "PTRACE_GETREGSET",
    "PTRACE_GETSIGINFO",
    "PTRACE_GETSIGMASK",
    "PTRACE_GET_SYSCALL_INFO",
    "PTRACE_INTERRUPT",
    "PTRACE_KILL",
    "PTRACE_LISTEN",
    "PTRACE_O_EXITKILL",
    "PTRACE_O_TRACECLONE",
    "PTRACE_O_TRACEEXEC",
    "PTRACE_O_TRACEEXIT",
    "PTRACE_O_TRACEFORK",
    "PTRACE_O_TRACESECCOMP",
    "PTRACE_O_TRACESYSGOOD",
    "PTRACE_O_TRACEVFORK",
    "PTRACE_O_TRACEVFORKDONE",
    "PTRACE_PEEKDATA",
    "PTRACE_PEEKSIGINFO",
    "PTRACE_PEEKTEXT",
    "PTRACE_POKEDATA",
    "PTRACE_POKETEXT",
    "PTRACE_SEIZE",
    "PTRACE_SETOPTIONS",
    "PTRACE_SETREGSET",
    "PTRACE_SETSIGINFO",
    "PTRACE_SETSIGMASK",
    "PTRACE_SET_SYSCALL_INFO",
    "PTRACE_SINGLESTEP",
    "PTRACE_SYSCALL",
    "PTRACE_SYSCALL_INFO_ENTRY",
    "PTRACE_SYSCALL_INFO_EXIT",
    "PTRACE_SYSCALL_INFO_NONE",
    "PTRACE_SYSCALL_INFO_SECCOMP",
    "PTRACE_SYSEMU",
    "PTRACE_TRACEME",
    "SyscallInfo",
    "ptrace",
    "ptrace_event_message",
    "ptrace_peek",
    "ptrace_pending",
    "ptrace_registers",
    "ptrace_set_registers",
    "ptrace_set_siginfo",
    "ptrace_set_sigmask",
    "ptrace_set_syscall_info",
    "ptrace_siginfo",
    "ptrace_sigmask",
    "ptrace_syscall_info",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

PTRACE_TRACEME = 0
PTRACE_PEEKTEXT = 1
PTRACE_PEEKDATA = 2
PTRACE_POKETEXT = 4
PTRACE_POKEDATA = 5
PTRACE_CONT = 7
PTRACE_KILL = 8
PTRACE_SINGLESTEP = 9
PTRACE_ATTACH = 16
PTRACE_DETACH = 17
PTRACE_SYSCALL = 24
PTRACE_SYSEMU = 31
PTRACE_SETOPTIONS = 0x4200
PTRACE_GETEVENTMSG = 0x4201
PTRACE_GETSIGINFO = 0x4202
PTRACE_SETSIGINFO = 0x4203
PTRACE_GETREGSET = 0x4204
PTRACE_SETREGSET = 0x4205
PTRACE_SEIZE = 0x4206  # since Linux 3.4, as are the two below
PTRACE_INTERRUPT = 0x4207
PTRACE_LISTEN = 0x4208
PTRACE_PEEKSIGINFO = 0x4209
PTRACE_GETSIGMASK = 0x420A
PTRACE_SETSIGMASK = 0x420B
PTRACE_GET_SYSCALL_INFO = 0x420E  # since Linux 5.3
PTRACE_SET_SYSCALL_INFO = 0x4212  # since Linux 6.16

PTRACE_O_TRACESYSGOOD = 0x1
PTRACE_O_TRACEFORK = 0x2
PTRACE_O_TRACEVFORK = 0x4
PTRACE_O_TRACECLONE = 0x8
PTRACE_O_TRACEEXEC = 0x10
PTRACE_O_TRACEVFORKDONE = 0x20
PTRACE_O_TRACEEXIT = 0x40
PTRACE_O_TRACESECCOMP = 0x80
PTRACE_O_EXITKILL = 0x10_0000

PTRACE_EVENT_FORK = 1
PTRACE_EVENT_VFORK = 2
PTRACE_EVENT_CLONE = 3
PTRACE_EVENT_EXEC = 4
PTRACE_EVENT_VFORK_DONE = 5
PTRACE_EVENT_EXIT = 6
PTRACE_EVENT_SECCOMP = 7
PTRACE_EVENT_STOP = 128

(
    PTRACE_SYSCALL_INFO_NONE,
    PTRACE_SYSCALL_INFO_ENTRY,
    PTRACE_SYSCALL_INFO_EXIT,
    PTRACE_SYSCALL_INFO_SECCOMP,
) = range(4)

_NT_PRSTATUS = 1
_PEEKSIGINFO_SHARED = 1
_SYSCALL_INFO = struct.Struct("=BBHIQQ64s")  # struct ptrace_syscall_info, its union as bytes

_ptrace = function("ptrace", c_long, c_int, c_int, c_void_p, c_void_p)
# A word may be -1: libc's function clears errno, and only a set errno means failure.
_peek = function("ptrace", c_long, c_int, c_int, c_void_p, c_void_p, fails=errno_was_set)


class _Iovec(Structure):
    _fields_ = [("base", c_void_p), ("length", c_size_t)]


@dataclass(frozen=True, slots=True)
class SyscallInfo:
    """struct ptrace_syscall_info: the kind of stop (`op`) and the members of its union.

    `nr` and `args` belong to an entry and to seccomp, `rval` and `is_error` to an exit, `ret_data` to seccomp. `size`
    is the number of bytes that the kernel has to give.
    """

    op: int
    arch: int
    instruction_pointer: int
    stack_pointer: int
    nr: int = 0
    args: tuple[int, ...] = ()
    rval: int = 0
    is_error: bool = False
    ret_data: int = 0
    size: int = 0


def ptrace(op: int, pid: int, addr: int = 0, data: int = 0) -> int:
    """Call ptrace(2) with integers, for operations that take a signal, options, a word or nothing. OSError.

    *addr* and *data* are signed words, or addresses in the upper half.
    """
    for value in (addr, data):
        check_integer("ptrace", value, (LONG[0], SIZE[1]))
    result: int = _ptrace(op, pid, addr & SIZE[1], data & SIZE[1])
    return result


def ptrace_peek(pid: int, address: int, op: int = PTRACE_PEEKDATA) -> int:
    """Return the word at *address* of the tracee as a signed number (PTRACE_PEEKDATA or PTRACE_PEEKTEXT). OSError."""
    check_integer("ptrace", address, SIZE)
    set_errno(0)
    result: int = _peek(op, pid, address, None)
    return result


def ptrace_event_message(pid: int) -> int:
    """Return the message of the event that stopped the tracee (PTRACE_GETEVENTMSG). OSError."""
    message = c_ulong()
    _ptrace(PTRACE_GETEVENTMSG, pid, None, addressof(message))
    return message.value


def ptrace_siginfo(pid: int) -> SigInfo:
    """Return the signal that stopped the tracee (PTRACE_GETSIGINFO). OSError: EINVAL in a group-stop."""
    raw = (c_byte * abi.SIGINFO_BYTES)()
    _ptrace(PTRACE_GETSIGINFO, pid, None, addressof(raw))
    return siginfo(string_at(addressof(raw), abi.SIGINFO_BYTES))


def ptrace_set_siginfo(pid: int, value: int) -> None:
    """Change the integer of si_value in the signal that stopped the tracee (PTRACE_SETSIGINFO). OSError."""
    raw = (c_byte * abi.SIGINFO_BYTES)()
    _ptrace(PTRACE_GETSIGINFO, pid, None, addressof(raw))
    c_int.from_buffer(raw, abi.SIGINFO_UNION + 8).value = value
    _ptrace(PTRACE_SETSIGINFO, pid, None, addressof(raw))


def ptrace_pending(pid: int, start: int, count: int, *, shared: bool = False) -> list[SigInfo]:
    """Return up to *count* signals pending for the thread, from position *start* on (PTRACE_PEEKSIGINFO). OSError.

    With *shared*, the signals pending for the process.
    """
    asked = create_string_buffer(struct.pack("=QIi", start, _PEEKSIGINFO_SHARED if shared else 0, count), 16)
    raw = create_string_buffer(abi.SIGINFO_BYTES * count)
    found = _ptrace(PTRACE_PEEKSIGINFO, pid, addressof(asked), addressof(raw))
    return [siginfo(raw.raw[n * abi.SIGINFO_BYTES : (n + 1) * abi.SIGINFO_BYTES]) for n in range(found)]


def ptrace_sigmask(pid: int) -> frozenset[int]:
    """Return the signals that the tracee blocks (PTRACE_GETSIGMASK). OSError."""
    raw = (c_byte * abi.KERNEL_SIGSET_BYTES)()
    _ptrace(PTRACE_GETSIGMASK, pid, abi.KERNEL_SIGSET_BYTES, addressof(raw))
    return decode_sigset(bytes(bytearray(raw)))


def ptrace_set_sigmask(pid: int, signals: Iterable[int]) -> None:
    """Set the signals that the tracee blocks (PTRACE_SETSIGMASK). OSError."""
    raw = sigset(signals)
    _ptrace(PTRACE_SETSIGMASK, pid, abi.KERNEL_SIGSET_BYTES, addressof(raw))


def ptrace_registers(pid: int, room: int = 1024) -> bytes:
    """Return the general registers, at most *room* bytes of them (PTRACE_GETREGSET, NT_PRSTATUS). OSError."""
    raw = create_string_buffer(room)
    vector = _Iovec(addressof(raw), room)
    _ptrace(PTRACE_GETREGSET, pid, _NT_PRSTATUS, addressof(vector))
    return raw.raw[: vector.length]


def ptrace_set_registers(pid: int, registers: bytes) -> None:
    """Set the general registers, in the format of ptrace_registers() (PTRACE_SETREGSET, NT_PRSTATUS). OSError."""
    raw = create_string_buffer(registers, len(registers))
    vector = _Iovec(addressof(raw), len(registers))
    _ptrace(PTRACE_SETREGSET, pid, _NT_PRSTATUS, addressof(vector))


def ptrace_syscall_info(pid: int, room: int = _SYSCALL_INFO.size) -> SyscallInfo:
    """Return the system call that stopped the tracee; members beyond *room* bytes are 0 (PTRACE_GET_SYSCALL_INFO).

    OSError.
    """
    raw = create_string_buffer(_SYSCALL_INFO.size)
    size = _ptrace(PTRACE_GET_SYSCALL_INFO, pid, room, addressof(raw))
    op, _, _, arch, instruction, stack, union = _SYSCALL_INFO.unpack(raw.raw)
    nr, *args = struct.unpack_from("=Q6Q", union)
    rval, failed = struct.unpack_from("=qB", union)
    (ret_data,) = struct.unpack_from("=I", union, 56)
    entered, left, filtered = (
        op == kind for kind in (PTRACE_SYSCALL_INFO_ENTRY, PTRACE_SYSCALL_INFO_EXIT, PTRACE_SYSCALL_INFO_SECCOMP)
    )
    return SyscallInfo(
        op,
        arch,
        instruction,
        stack,
        nr=nr if entered or filtered else 0,
        args=tuple(args) if entered or filtered else (),
        rval=rval if left else 0,
        is_error=left and bool(failed),
        ret_data=ret_data if filtered else 0,
        size=size,
    )


def ptrace_set_syscall_info(pid: int, info: SyscallInfo) -> None:
    """Change number and arguments at an entry, or the result at an exit (PTRACE_SET_SYSCALL_INFO). OSError."""
    if info.op == PTRACE_SYSCALL_INFO_EXIT:
        union = struct.pack("=qB", info.rval, info.is_error)
    else:
        union = struct.pack("=Q6QI", info.nr, *info.args, info.ret_data)
    packed = _SYSCALL_INFO.pack(info.op, 0, 0, info.arch, info.instruction_pointer, info.stack_pointer, union)
    raw = create_string_buffer(packed, len(packed))
    _ptrace(PTRACE_SET_SYSCALL_INFO, pid, sizeof(raw), addressof(raw))
