"""The machine and the boot that a ledger was written on, and whether a process of another boot is certainly dead.

Another boot id alone proves nothing: the state directory may be shared with another machine, a container with a kernel of its
own or a microVM, whose processes live. It is of an earlier boot of this machine if the machine's id is the same, if the directory
lies in a file system that only one kernel can have mounted, and if the ledger was last written to before this kernel started.
"""

from __future__ import annotations

import sys
from functools import cache

from ..unpatched import io, os
from .identity import start_offset

__all__ = ["boot_id", "foreign", "machine_id"]

# The types (statfs(2)) of which only one kernel at a time reads and writes: no network, no host that shares a folder with guests.
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

    Where the kernel shows none (gVisor), what it has made at its start stands for it: two sandboxes that share the state
    directory must not take each other's processes for dead. "" where that cannot be seen either.
    """
    return _line("/proc/sys/kernel/random/boot_id") or _first_device()


def _first_device() -> str:
    """Return the time at which /dev/null was made, which no two kernels have in common."""
    try:
        found = os.stat("/dev/null")
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return ""
    return f"/dev/null {found.st_dev} {found.st_ino} {found.st_ctime_ns}"


@cache
def machine_id() -> str:
    """Return the id of this machine's installation (machine-id(5)), or "" where there is none yet."""
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

    *boot* and *machine* are on record, *home* is a descriptor of the directory, *written* the time of the last change.
    """
    if boot == boot_id():
        return ""
    if not machine or machine != machine_id():
        return "it is of another machine"
    if not _is_local(state_dir):
        return "it is of another boot, in a file system that several machines may use at once"
    if written >= _started():
        return "another kernel has written to it since this one started"
    return ""


def _started() -> float:
    """When this kernel started, in seconds since the Epoch. A time namespace shifts what /proc says of it."""
    try:
        with io.open("/proc/stat") as file:
            for line in file:
                if line.startswith("btime "):
                    return int(line.split()[1]) + (start_offset() or 0) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        pass
    return 0.0


def _is_local(fd: int) -> bool:
    import ctypes

    buffer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None).fstatfs(fd, buffer) != 0:
        return False
    # The first member is a long nearly everywhere, and half of one on s390x.
    first = int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
    return first & 0xFFFF_FFFF in _LOCAL or first >> 32 in _LOCAL
