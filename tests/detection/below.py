"""A kernel that refuses, below libc: a seccomp filter answers chosen system calls with an errno, and the command runs under it.

    python -m tests.detection.below NAME=ERRNO[,NAME=ERRNO...] COMMAND...

For what does not pass through a function of libc that could be interposed: raw system calls, and what libc calls by itself.
The filter is written by hand, in the classic BPF of seccomp(2): load the number, compare, answer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from pytest_ipc import number_of
from pytest_ipc.kernel.libc import function, minus_one

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


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


def refuse(answers: dict[int, int]) -> None:
    """From here on, and in every descendant, the system calls with these numbers fail with these errnos. OSError."""
    steps = [struct.pack("=HBBI", LOAD_WORD, 0, 0, 0)]
    for number, error in answers.items():
        steps.append(struct.pack("=HBBI", JUMP_IF_EQUAL, 0, 1, number))
        steps.append(struct.pack("=HBBI", RETURN, 0, 0, FAIL | error))
    steps.append(struct.pack("=HBBI", RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = Program(len(steps), ctypes.addressof(code))
    _prctl(PR_SET_NO_NEW_PRIVS, 1, None, 0, 0)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)


def main() -> None:
    """Refuse, and become the command."""
    faults = dict(pair.split("=") for pair in sys.argv[1].split(","))
    refuse({number_of(name): getattr(errno, error) for name, error in faults.items()})
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
