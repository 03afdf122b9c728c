"""Directories for private files: created where nobody can exchange them, removed by descriptor, not by path.

Whoever may write to the folder above can rename a private folder and put another one in its place, unless the sticky bit is
set there. What is removed is therefore what a descriptor stands for, and only while it still has the name it was made with.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from errno import EPERM

from ..unpatched import os
from .cleanup import failures_ignored
from .state_paths import temp_folder

__all__ = ["HOLD", "check_folder", "identity_of", "remove_folder", "same_file", "temp_folder"]

# To hold a folder or a file, and to look at it: this needs no permission on the object itself.
HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]


_checked: set[str] = set()


def check_folder(path: str) -> str:
    """Return *path* with its links resolved, if no other user can rename what this user makes in it. PermissionError.

    It and the folders above it must not be writable for everybody without the sticky bit. Each path is looked at once.
    """
    real = os.path.realpath(path)
    if real not in _checked:
        above = real
        while True:
            mode = os.stat(above).st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise PermissionError(
                    EPERM,
                    "everybody can write to this folder and it has no sticky bit, so others can exchange what is made in it; "
                    f"set TMPDIR to a folder of your own, or run chmod +t {above}",
                    above,
                )
            if above == "/":
                break
            above = os.path.dirname(above)
        _checked.add(real)
    return real


def identity_of(status: os.stat_result) -> Identity:
    """Return device and inode number."""
    return status.st_dev, status.st_ino


def same_file(fd: int, identity: Identity) -> bool:
    """Return whether the descriptor *fd* is open and stands for the file that has *identity*."""
    try:
        return identity_of(os.fstat(fd)) == identity
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return False


def remove_folder(fd: int, path: str) -> None:
    """Remove the folder that *fd* stands for, with all that is in it, if it is still at the place that *path* names. OSError."""
    name = os.path.basename(path)
    with suppress(FileNotFoundError):
        above = os.open("..", HOLD | os.O_DIRECTORY, dir_fd=fd)
        try:
            if same_entry(above, name, identity_of(os.fstat(fd))):
                _clear(fd)
                os.rmdir(name, dir_fd=above)
        finally:
            os.close(above)


def same_entry(folder: int, name: str, identity: Identity) -> bool:
    """Return whether *name* in the folder stands for the file that has *identity*. OSError but for FileNotFoundError."""
    try:
        return identity_of(os.stat(name, dir_fd=folder, follow_symlinks=False)) == identity
    except FileNotFoundError:
        return False


def _clear(fd: int) -> None:
    """Remove what is in the folder that *fd* stands for. What cannot be removed keeps the folder itself from going."""
    try:
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    except PermissionError:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)  # the test has closed it to its own user; fchmod(2) takes no O_PATH
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        for name in os.listdir(listing):
            with failures_ignored:
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
