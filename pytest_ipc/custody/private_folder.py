"""Directories for private files: created where no other user can replace them, removed by descriptor.

A user who may write to the parent directory can replace a private directory, unless the sticky bit is set there. So the
directory is removed by a descriptor, and only while it still has its name.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from errno import EEXIST, ENOTEMPTY, EPERM

from ..unpatched import os
from .cleanup import failures_ignored
from .state_paths import temp_folder

__all__ = ["HOLD", "check_folder", "identity_of", "remove_folder", "same_file", "temp_folder"]

# Flags to hold a file or directory and read its status: O_PATH needs no permission on the object itself.
HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]


_checked: set[str] = set()


def check_folder(path: str) -> str:
    """Return *path* with symbolic links resolved, if no other user can rename entries in it. Raises PermissionError.

    Neither it nor a directory above may be world-writable without the sticky bit. Each path is checked once.
    """
    real = os.path.realpath(path)
    if real not in _checked:
        above = real
        while True:
            mode = os.stat(above).st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise PermissionError(
                    EPERM,
                    "the directory is world-writable without sticky bit, so other users can replace entries in it; "
                    f"set TMPDIR to a private directory, or run chmod +t {above}",
                    above,
                )
            if above == "/":
                break
            above = os.path.dirname(above)
        _checked.add(real)
    return real


def identity_of(status: os.stat_result) -> Identity:
    """Return the device and inode number."""
    return status.st_dev, status.st_ino


def same_file(fd: int, identity: Identity) -> bool:
    """Return whether *fd* is open and refers to the file with *identity*."""
    try:
        return identity_of(os.fstat(fd)) == identity
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return False


def remove_folder(fd: int, path: str) -> None:
    """Remove the directory open as *fd* and its contents, if it still has the name in *path*. Raises OSError."""
    name = os.path.basename(path)
    with suppress(FileNotFoundError):  # it is gone already
        above = os.open("..", HOLD | os.O_DIRECTORY, dir_fd=fd)
        try:
            if same_entry(above, name, identity_of(os.fstat(fd))):
                try:
                    os.rmdir(name, dir_fd=above)  # nearly always it is empty by now: no need to list it
                except OSError as error:
                    if error.errno not in (ENOTEMPTY, EEXIST):
                        raise
                    _clear(fd)
                    os.rmdir(name, dir_fd=above)
        finally:
            os.close(above)


def same_entry(folder: int, name: str, identity: Identity) -> bool:
    """Return whether the entry *name* exists and is the file with *identity*. Raises other OSErrors."""
    try:
        return identity_of(os.stat(name, dir_fd=folder, follow_symlinks=False)) == identity
    except FileNotFoundError:
        return False


def _clear(fd: int) -> None:
    """Remove the contents of the directory open as *fd*; failures surface when the directory is removed."""
    try:
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    except PermissionError:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)  # the test removed its permissions; fchmod(2) rejects O_PATH
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        for name in os.listdir(listing):
            with failures_ignored:  # rmdir(2) reports the folder that is not empty
                _remove_entry(fd, name)
    finally:
        os.close(listing)


def _remove_entry(folder: int, name: str) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    inner = os.open(name, HOLD | os.O_DIRECTORY, dir_fd=folder)
    try:
        _clear(inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)
