"""The structures and constants of signals: sigaction(2), siginfo_t, union sigval, sigset_t."""

from __future__ import annotations

import sys
from ctypes import Structure, c_byte, c_int, c_void_p, sizeof
from functools import cache

from .layout import WIDE, known, structure

__all__ = [
    "KERNEL_SIGSET_BYTES",
    "POINTER",
    "SIGINFO_BYTES",
    "SIGINFO_UNION",
    "SIGSET_BYTES",
    "sigaction",
    "sigval",
]

SIGSET_BYTES = 128  # in glibc and musl, whatever the size of the kernel's own set
# The kernel's set, on every machine of this table. glibc's sigaction() leaves stack contents in the rest of sa_mask.
KERNEL_SIGSET_BYTES = 8


@cache
def sigaction() -> type[Structure]:
    """Return libc's struct sigaction (not the kernel's), for sigaction(2)."""
    abi = known("sigaction")
    mask = ("mask", c_byte * SIGSET_BYTES)
    if abi == "s390x":
        fields = [("handler", c_void_p), ("reserved", c_int), ("flags", c_int), ("restorer", c_void_p), mask]
    else:
        fields = [("handler", c_void_p), mask, ("flags", c_int), ("restorer", c_void_p)]
    return structure("sigaction", fields)


def sigval(value: int) -> int:
    """Return union sigval as a word: sival_int is at its start, the high half of the word on 64-bit big-endian."""
    low = value & 0xFFFF_FFFF
    return low << 32 if WIDE and sys.byteorder == "big" else low


SIGINFO_BYTES = 128
# The offset of the members after si_signo, si_errno, si_code: the union is aligned as a pointer.
SIGINFO_UNION = 16 if WIDE else 12
POINTER = sizeof(c_void_p)
