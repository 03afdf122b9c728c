"""Run a command under a seccomp filter that makes chosen system calls fail with an errno.

    python -m tests.fault_injection.seccomp NAME=ERRNO[,NAME=ERRNO...] COMMAND...

NAME(FIRST,...) is the call with these numbers as its first arguments alone, a * for any: socket(10) makes IPv6 sockets,
and semctl(*,*,2) is IPC_STAT.

For calls that bypass the interposer: raw system calls, and those that libc makes itself. The filter is written by hand
in the classic BPF of seccomp(2): load the number, compare, return.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
import sys

from pytest_ipc.kernel import number_of
from pytest_ipc.kernel.libc import function, minus_one

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
# Offsets in struct seccomp_data of the call number, and of the lower half of the first argument.
NUMBER, FIRST = 0, 16 if sys.byteorder == "little" else 20
ARGUMENT = 8  # bytes
# Numbers of a call that never blocks, so that pytest_ipc does not know it.
SOCKET = {"x86_64": 41, "aarch64": 198}


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_prctl = function(
    "prctl",
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_ulong,
    fails=minus_one,
)


def refuse(answers: dict[tuple[int, tuple[int | None, ...]], int]) -> None:
    """Make these system calls fail with these errnos from here on, in all descendants too. Raises OSError.

    A call is its number and its first arguments, of which None matches any value.
    """
    steps = []
    for (number, arguments), error in answers.items():
        places = [(FIRST + place * ARGUMENT, value) for place, value in enumerate(arguments)]
        checks = [(NUMBER, number), *((place, value) for place, value in places if value is not None)]
        for left, (place, value) in zip(range(len(checks), 0, -1), checks, strict=True):
            steps.append(struct.pack("=HBBI", LOAD_WORD, 0, 0, place))
            steps.append(struct.pack("=HBBI", JUMP_IF_EQUAL, 0, 2 * left - 1, value))
        steps.append(struct.pack("=HBBI", RETURN, 0, 0, FAIL | error))
    steps.append(struct.pack("=HBBI", RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = Program(len(steps), ctypes.addressof(code))
    _prctl(PR_SET_NO_NEW_PRIVS, 1, None, 0, 0)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)


def main() -> None:
    """Install the filter, and execute the command."""
    faults = re.findall(r"(\w+)(?:\(([\d*,]+)\))?=(\w+)", sys.argv[1])
    refuse({(_number(name), _arguments(words)): getattr(errno, error) for name, words, error in faults})
    os.execvp(sys.argv[2], sys.argv[2:])


def _arguments(words: str) -> tuple[int | None, ...]:
    return tuple(None if word == "*" else int(word) for word in words.split(",") if word)


def _number(name: str) -> int:
    machine = os.uname().machine
    return SOCKET[machine] if name == "socket" and machine in SOCKET else number_of(name)


if __name__ == "__main__":
    main()
