"""Namespaces: unshare(2), setns(2), the maps of user_namespaces(7), and mount(2) for their file systems."""

from __future__ import annotations

from contextlib import suppress
from ctypes import c_char_p, c_int, c_ulong

from ..unpatched import os
from .descriptor import path_bytes
from .libc import function

__all__ = [
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWTIME",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MNT_DETACH",
    "MS_NOEXEC",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_SLAVE",
    "map_user",
    "mount",
    "setns",
    "umount2",
    "unshare",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

CLONE_NEWTIME = 0x0000_0080
CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 1
MS_NOEXEC = 8
MS_REC = 1 << 14
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

_unshare = function("unshare", c_int, c_int)
_setns = function("setns", c_int, c_int, c_int)
_mount = function("mount", c_int, c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = function("umount2", c_int, c_char_p, c_int)


def unshare(flags: int) -> None:
    """Move this process into new namespaces of the kinds in *flags* (unshare(2)).

    OSError: EPERM without the capability.
    """
    _unshare(flags)


def setns(fd: int, nstype: int = 0) -> None:
    """Join the namespace behind *fd*, or those in *nstype* of the process of a pidfd (setns(2)). OSError."""
    _setns(fd, nstype)


def map_user(inside_uid: int, inside_gid: int, uid: int, gid: int) -> None:
    """Map *uid* and *gid* to *inside_uid* and *inside_gid* in a new user namespace (user_namespaces(7)). OSError.

    *uid* and *gid* are those of this process outside. No other mapping works without privileges; it requires that
    setgroups(2) is denied.
    """
    with suppress(FileNotFoundError):  # before Linux 3.19
        _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{inside_uid} {uid} 1")
    _write("/proc/self/gid_map", f"{inside_gid} {gid} 1")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def mount(
    source: str | None,
    target: str | os.PathLike[str],
    fstype: str | None = None,
    flags: int = 0,
    data: str | None = None,
) -> None:
    """Mount a filesystem of *fstype* at *target*, or change the propagation of a mount (mount(2)). OSError.

    *data* holds the filesystem's own options, such as "size=64k".
    """
    _mount(source and source.encode(), path_bytes(target), fstype and fstype.encode(), flags, data and data.encode())


def umount2(target: str | os.PathLike[str], flags: int = 0) -> None:
    """Unmount the filesystem that is mounted at *target* (umount2(2)). OSError."""
    _umount2(path_bytes(target), flags)
