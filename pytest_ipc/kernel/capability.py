"""Capabilities (capabilities(7)): capget(2), capset(2), and their names."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_void_p
from dataclasses import dataclass

from .libc import function

__all__ = ["CAPABILITIES", "CapabilitySets", "capget", "capset"]

# By bit, without the CAP_ that each begins with.
CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()

_VERSION_3 = 0x2008_0522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", c_int))


class _Data(ctypes.Structure):
    """One of two: the lower 32 capabilities, then the others."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """The sets of a thread, each a bit mask: what it may do now, may allow itself, and passes on through execve(2)."""

    effective: int
    permitted: int
    inheritable: int


_capget = function("capget", c_int, c_void_p, c_void_p)
_capset = function("capset", c_int, c_void_p, c_void_p)


def capget() -> CapabilitySets:
    """capget(2): the capabilities of this thread. OSError."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    _capget(ctypes.addressof(header), ctypes.addressof(data))
    low, high = data
    return CapabilitySets(
        *(getattr(low, name) | getattr(high, name) << 32 for name in ("effective", "permitted", "inheritable"))
    )


def capset(sets: CapabilitySets) -> None:
    """capset(2): have these capabilities and no others. OSError (EPERM for what is not permitted now)."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    for name in ("effective", "permitted", "inheritable"):
        mask = getattr(sets, name)
        for part, shift in zip(data, (0, 32), strict=True):
            setattr(part, name, mask >> shift & 0xFFFF_FFFF)
    _capset(ctypes.addressof(header), ctypes.addressof(data))
