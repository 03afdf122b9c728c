"""Capabilities (capabilities(7)): capget(2), capset(2), and their names."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_void_p
from dataclasses import dataclass

from .libc import function

__all__ = ["CAPABILITIES", "CapabilitySets", "capget", "capset"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# By bit, without the prefix CAP_.
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
    """One of two: the lower 32 capabilities, then the upper ones."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """The sets of a thread as bit masks: effective, permitted, and kept across execve(2)."""

    effective: int
    permitted: int
    inheritable: int


_capget = function("capget", c_int, c_void_p, c_void_p)
_capset = function("capset", c_int, c_void_p, c_void_p)


def capget() -> CapabilitySets:
    """Return the capabilities of this thread (capget(2)). OSError."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    _capget(ctypes.addressof(header), ctypes.addressof(data))
    low, high = data
    return CapabilitySets(
        *(getattr(low, name) | getattr(high, name) << 32 for name in ("effective", "permitted", "inheritable"))
    )


def capset(sets: CapabilitySets) -> None:
    """Set the capabilities of this thread (capset(2)). OSError: EPERM for one that is not permitted."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    for name in ("effective", "permitted", "inheritable"):
        mask = getattr(sets, name)
        for part, shift in zip(data, (0, 32), strict=True):
            setattr(part, name, mask >> shift & 0xFFFF_FFFF)
    _capset(ctypes.addressof(header), ctypes.addressof(data))
