"""The ABI of this process, and the declaration of a layout for each ABI."""

from __future__ import annotations

import re
from ctypes import Structure, c_long, c_uint32, c_uint64, c_ulong, c_void_p, sizeof
from functools import cache
from typing import Any

from ...unpatched import os

__all__ = [
    "SPLIT_TIME_32",
    "WIDE",
    "epoll_event",
    "known",
    "machine",
    "structure",
    "time_member",
    "times",
    "timespec",
]

WIDE = sizeof(c_void_p) == 8

# The older 32-bit machines, which keep the upper half of a time in a second word.
SPLIT_TIME_32 = {"i386", "arm"}
_KNOWN = {"x86_64", "aarch64", "riscv64", "loongarch64", "ppc64le", "s390x"} | SPLIT_TIME_32


@cache
def machine() -> str:
    """Return the ABI of this process: uname's machine, but i386 or arm in a 32-bit process."""
    name = os.uname().machine
    if re.fullmatch(r"i[3-6]86", name) or (name == "x86_64" and not WIDE):
        return "i386"
    if name.startswith("arm") or (name == "aarch64" and not WIDE):
        return "arm"
    return name


def known(name: str) -> str:
    """Return the machine. NotImplementedError if the layout of struct *name* is not known for it."""
    if machine() not in _KNOWN:
        raise NotImplementedError(f"layout unknown for struct {name} on {machine()}")
    return machine()


def structure(name: str, fields: list[tuple[str, Any]]) -> type[Structure]:
    """Return a ctypes.Structure class *name* with these members."""
    return type(name, (Structure,), {"_fields_": fields})


def times(abi: str, *names: str) -> list[tuple[str, Any]]:
    """Return time members: one long each, or on the 32-bit machines a low word followed by its high word."""
    if abi in SPLIT_TIME_32:
        return [(name + half, c_ulong) for name in names for half in ("", "_high")]
    return [(name, c_long) for name in names]


def time_member(structure: Any, name: str) -> int:
    """Return a time of *structure* in seconds since the Epoch, with its two words joined where the ABI splits it."""
    return int(getattr(structure, name)) | int(getattr(structure, name + "_high", 0)) << 32


class timespec(Structure):  # noqa: N801 - the structure's own name
    """struct timespec of the calls without a time64 suffix."""

    _fields_ = [("tv_sec", c_long), ("tv_nsec", c_long)]


class epoll_event(Structure):  # noqa: N801 - the structure's own name
    """struct epoll_event (epoll_event(3type))."""

    # On x86 the structure is packed, so that 32-bit and 64-bit programs share one layout.
    if machine() in ("x86_64", "i386"):
        _pack_ = 1
        _layout_ = "ms"  # the layout of packed structures; Python 3.14 wants it explicit
    _fields_ = [("events", c_uint32), ("data", c_uint64)]
