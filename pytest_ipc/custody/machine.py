"""The machine and boot that a ledger was written on, to decide whether its process is certainly dead.

A different boot id alone proves nothing: the state directory may be shared with another running machine, a sandbox with
its own kernel or a microVM. The ledger is from an earlier boot of this machine if the machine id is the same, the
directory is on a file system that only one kernel can have mounted, and the last write was before this kernel started.
"""

from __future__ import annotations

import sys
from functools import cache

from ..unpatched import io, os
from .identity import start_offset

__all__ = ["boot_id", "foreign", "machine_id"]

# File system types (statfs(2)) that only one kernel mounts at a time: no network or host-shared file systems.
_LOCAL = {
    0xEF53,  # ext2, ext3, ext4
    0x0102_1994,  # tmpfs
    0x2FC1_2FC1,  # ZFS
    0x3153_464A,  # JFS
    0x5846_5342,  # XFS
    0x794C_7630,  # overlayfs
    0x8584_58F6,  # ramfs
    0x9123_683E,  # Btrfs
    0xCA45_1A4E,  # bcachefs
    0xF2F5_2010,  # F2FS
}


@cache
def boot_id() -> str:
    """Return the id of this boot of this kernel.

    If the kernel shows none (gVisor), return the identity of /dev/null instead, so that two sandboxes that share the
    state directory do not take each other's processes for dead; "" if that is not visible either.
    """
    return _line("/proc/sys/kernel/random/boot_id") or _first_device()


def _first_device() -> str:
    """Return device, inode and creation time of /dev/null, which differ between kernels."""
    try:
        found = os.stat("/dev/null")
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return ""
    return f"/dev/null {found.st_dev} {found.st_ino} {found.st_ctime_ns}"


@cache
def machine_id() -> str:
    """Return the machine id (machine-id(5)), or "" if there is none."""
    found = _line("/etc/machine-id") or _line("/var/lib/dbus/machine-id")
    return "" if found == "uninitialized" else found


def _line(path: str) -> str:
    try:
        with io.open(path, "rb") as file:
            return file.read(100).decode(errors="replace").strip()
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return ""


def foreign(boot: str, machine: str, state_dir: int, written: float) -> str:
    """Return why a ledger may be another machine's, or "" if it is certainly this one's.

    *boot* and *machine* are from its header, *state_dir* is a descriptor of the directory, *written* the time of its
    last change in seconds since the Epoch.
    """
    if boot == boot_id():
        return ""
    if not machine or machine != machine_id():
        return "it was written on another machine"
    if not _is_local(state_dir):
        return "it is from another boot, on a file system that several machines may share"
    if written >= _started():
        return "another kernel has written to it since this one started"
    return ""


def _started() -> float:
    """Return when this kernel started, in seconds since the Epoch, corrected for the time namespace."""
    try:
        with io.open("/proc/stat") as file:
            for line in file:
                if line.startswith("btime "):
                    return int(line.split()[1]) + (start_offset() or 0) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):  # no /proc, or none of this kernel: the boot time is unknown
        pass
    return 0.0


def _is_local(fd: int) -> bool:
    import ctypes

    buffer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None).fstatfs(fd, buffer) != 0:
        return False
    # The first member, f_type, is a long on most architectures, and an int on s390x.
    first = int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
    return first & 0xFFFF_FFFF in _LOCAL or first >> 32 in _LOCAL
