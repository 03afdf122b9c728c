"""Structure layouts, per ABI: the one place that knows how a machine lays out what the kernel hands over.

A layout is a ctypes.Structure whose members carry the manual's names. The 64-bit generic ABI (asm-generic) serves most
machines; the others are listed where they differ. A machine that is not listed gets NotImplementedError and never a guess:
a wrong offset would judge the kernel for our mistake. The tables are compared with a compiled probe in the tests.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from ctypes import (
    Structure,
    c_byte,
    c_int,
    c_long,
    c_size_t,
    c_uint,
    c_uint64,
    c_ulong,
    c_ushort,
    c_void_p,
    sizeof,
)
from functools import cache
from typing import Any

__all__ = ["machine"]

WIDE = sizeof(c_void_p) == 8

_GENERIC_64 = {"x86_64", "aarch64", "riscv64", "loongarch64"}
_SPLIT_TIME_32 = {"i386", "arm"}
_KNOWN = _GENERIC_64 | _SPLIT_TIME_32 | {"ppc64le", "s390x"}

SIGSET_BYTES = 128  # both glibc and musl, whatever the kernel's own set measures
# The kernel's set, on every machine of this table. glibc's sigaction() leaves what its stack held in the rest of sa_mask.
KERNEL_SIGSET_BYTES = 8


@cache
def machine() -> str:
    """The ABI this process runs under: uname's machine, but i386 or arm where the process is a 32-bit one."""
    name = os.uname().machine
    if re.fullmatch(r"i[3-6]86", name) or (name == "x86_64" and not WIDE):
        return "i386"
    if name.startswith("arm") or (name == "aarch64" and not WIDE):
        return "arm"
    return name


def _known(structure: str) -> str:
    if machine() not in _KNOWN:
        raise NotImplementedError(f"layout unknown for struct {structure} on {machine()}")
    return machine()


def _structure(name: str, fields: list[tuple[str, Any]]) -> type[Structure]:
    return type(name, (Structure,), {"_fields_": fields})


@cache
def ipc_perm() -> type[Structure]:
    """struct ipc_perm (ipc64_perm in the kernel): owner, creator, mode and sequence number of a System V object."""
    abi = _known("ipc_perm")
    ids: list[tuple[str, Any]] = [("key", c_int), ("uid", c_uint), ("gid", c_uint), ("cuid", c_uint), ("cgid", c_uint)]
    if abi == "ppc64le":
        rest = [("mode", c_uint), ("seq", c_uint), ("pad1", c_uint), ("unused1", c_uint64), ("unused2", c_uint64)]
    elif abi == "s390x":
        rest = [("mode", c_uint), ("pad1", c_ushort), ("seq", c_ushort), ("unused1", c_ulong), ("unused2", c_ulong)]
    elif abi in _SPLIT_TIME_32:
        rest = [("mode", c_ushort), ("pad1", c_ushort), ("seq", c_ushort), ("pad2", c_ushort)]
        rest += [("unused1", c_ulong), ("unused2", c_ulong)]
    else:
        rest = [("mode", c_uint), ("seq", c_ushort), ("pad2", c_ushort), ("unused1", c_ulong), ("unused2", c_ulong)]
    return _structure("ipc_perm", ids + rest)


def _times(abi: str, *names: str) -> list[tuple[str, Any]]:
    """Time members: one long each, or on the 32-bit machines a low word followed by its high word."""
    if abi in _SPLIT_TIME_32:
        return [(name + half, c_ulong) for name in names for half in ("", "_high")]
    return [(name, c_long) for name in names]


@cache
def shmid_ds() -> type[Structure]:
    """struct shmid_ds (shmid64_ds in the kernel), for shmctl(2)."""
    abi = _known("shmid_ds")
    size: list[tuple[str, Any]] = [("segsz", c_size_t)]
    times = _times(abi, "atime", "dtime", "ctime")
    return _structure(
        "shmid_ds",
        [("perm", ipc_perm())]
        + (times + size if abi == "ppc64le" else size + times)
        + [("cpid", c_int), ("lpid", c_int), ("nattch", c_ulong), ("unused4", c_ulong), ("unused5", c_ulong)],
    )


def time_member(structure: Any, name: str) -> int:
    """A time of *structure* in seconds since the Epoch, its two words joined where the ABI splits it."""
    return int(getattr(structure, name)) | int(getattr(structure, name + "_high", 0)) << 32


class shminfo(Structure):  # noqa: N801 - the structure's own name
    """struct shminfo, filled by shmctl(IPC_INFO): limits of System V shared memory."""

    _fields_ = [(name, c_ulong) for name in ("shmmax", "shmmin", "shmmni", "shmseg", "shmall", "u1", "u2", "u3", "u4")]


class shm_info(Structure):  # noqa: N801 - the structure's own name
    """struct shm_info, filled by shmctl(SHM_INFO): what System V shared memory uses."""

    _fields_ = [
        ("used_ids", c_int),
        *((name, c_ulong) for name in ("shm_tot", "shm_rss", "shm_swp", "swap_attempts", "swap_successes")),
    ]


@cache
def sigaction() -> type[Structure]:
    """libc's struct sigaction (not the kernel's), for sigaction(2)."""
    abi = _known("sigaction")
    mask = ("mask", c_byte * SIGSET_BYTES)
    if abi == "s390x":
        fields = [("handler", c_void_p), ("reserved", c_int), ("flags", c_int), ("restorer", c_void_p), mask]
    else:
        fields = [("handler", c_void_p), mask, ("flags", c_int), ("restorer", c_void_p)]
    return _structure("sigaction", fields)


class timespec(Structure):  # noqa: N801 - the structure's own name
    """struct timespec of the calls without a time64 suffix."""

    _fields_ = [("tv_sec", c_long), ("tv_nsec", c_long)]


def sigval(value: int) -> int:
    """union sigval as the word that carries it: sival_int lies at its start, which on big-endian 64-bit is the high half."""
    low = value & 0xFFFF_FFFF
    return low << 32 if WIDE and sys.byteorder == "big" else low


SIGINFO_BYTES = 128
# Where the members after si_signo, si_errno, si_code begin: the union of pointers is aligned.
SIGINFO_UNION = 16 if WIDE else 12
POINTER = ctypes.sizeof(c_void_p)
