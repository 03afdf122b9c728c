"""The directory of the ledgers, opened only if it can be trusted.

Anybody can guess its name (places.py). So it is looked at before it is used: a directory, not a link to one, owned by this user,
closed to all others. If it is not, that is an error and not a reason to try another name: somebody has put it there.
"""

from __future__ import annotations

import stat

from ..unpatched import os
from .places import home_path, pin

__all__ = ["HomeError", "home_path", "open_home", "pin"]


class HomeError(OSError):
    """The directory of the ledgers cannot be used: what is wrong with it, and the way out."""


def open_home(*, create: bool, path: str | None = None) -> int | None:
    """A descriptor of the directory; None when it does not exist and *create* is false. HomeError if it cannot be trusted."""
    path = path or home_path()
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            if not create:
                return None
            _make(path)
            fd = os.open(path, flags)
    except HomeError:
        raise
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        raise HomeError(
            error.errno, f"the ledger's directory is no directory of ours ({error.strerror})", path
        ) from None
    status = os.fstat(fd)
    wrong = []
    if status.st_uid != os.geteuid():
        wrong.append(f"belongs to user {status.st_uid}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        wrong.append(f"is open to others (mode {stat.S_IMODE(status.st_mode):#o})")
    if wrong:
        os.close(fd)
        raise HomeError(
            1,
            f"the ledger's directory {' and '.join(wrong)}, and is not used; remove it, or set XDG_RUNTIME_DIR",
            path,
        )
    return fd


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass  # somebody else was faster
    except OSError as error:
        raise HomeError(
            error.errno, f"the ledger's directory cannot be made ({error.strerror}), so nothing is made", path
        ) from None
