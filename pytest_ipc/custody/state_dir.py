"""The state directory, which holds the ledgers, and the checks before it is trusted.

Its name can be guessed (state_paths.py). So it must be a directory, not a symbolic link, owned by this user and closed
to all others. Otherwise another user has planted it, which is an error and no reason to try another name.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EPERM
from typing import NamedTuple

from ..unpatched import os
from .cleanup import failures_ignored
from .private_folder import Identity, check_folder, identity_of
from .state_paths import owner, pin, places, state_dir_path

__all__ = [
    "StateDir",
    "StateDirError",
    "as_owner",
    "hold",
    "is_owners",
    "open_state_dir",
    "pin",
    "state_dir_path",
    "state_dirs",
]

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateDirError(OSError):
    """Raised if the state directory cannot be used, with the reason and the way out."""


class StateDir(NamedTuple):
    """A state directory: its path and a descriptor of it."""

    path: str
    fd: int


@contextmanager
def as_owner() -> Iterator[None]:
    """Become the owner of the state directory within the block, if a test has changed only the effective user."""
    now, user = os.geteuid(), owner()
    if now == user:
        yield
        return
    try:
        with failures_ignored:  # it has become another user permanently: only open descriptors can be used
            os.seteuid(user)
        yield
    finally:
        if os.geteuid() != now:
            os.seteuid(now)


def is_owners(status: os.stat_result) -> bool:
    """Return whether a file belongs to the owner of the state directory."""
    return status.st_uid == owner() or (status.st_uid == os.geteuid() and _is_in_another_user_namespace())


_user_namespace = os.stat("/proc/self/ns/user").st_ino if os.path.exists("/proc/self/ns/user") else 0


def _is_in_another_user_namespace() -> bool:
    """Return whether this is another user namespace than at import, with other user ids."""
    try:
        return os.stat("/proc/self/ns/user").st_ino != _user_namespace
    except OSError:
        return False


def open_state_dir(*, create: bool, path: str | None = None) -> int | None:
    """Return a descriptor of the state directory; None if it does not exist and *create* is false.

    With *create* and without *path*, the next candidate is used if the parent directory is gone. Raises StateDirError
    if the directory cannot be trusted.
    """
    with as_owner():
        for place in (path,) if path else (state_dir_path(), *(places()[1:] if create else ())):
            try:
                fd = _open(place, create=create)
            except FileNotFoundError:
                continue
            if create and place != state_dir_path() and path is None:
                pin(place, *places())
            return fd
    if create:
        raise StateDirError(
            2,
            "no parent directory for the state directory exists, so no object is created",
            state_dir_path(),
        )
    return None


_held: StateDir | None = None


def hold() -> None:
    """Hold the current state directory open, so that state_dirs() finds it even if unmounted. Raises StateDirError."""
    global _held
    fd = open_state_dir(create=False)
    _held = None if fd is None else StateDir(state_dir_path(), fd)


def state_dirs(refused: list[str]) -> Iterator[StateDir]:
    """Yield every existing state directory of this user; append a message on each untrusted one to *refused*.

    Raises StateDirError if the current one cannot be trusted.
    """
    seen: list[Identity] = []
    for place in places():
        try:
            fd = open_state_dir(create=False, path=place)
        except StateDirError as error:
            if place == state_dir_path():
                raise
            refused.append(f"{place}: {error.strerror}")
            continue
        if fd is not None:
            try:
                if (identity := identity_of(os.fstat(fd))) not in seen:
                    seen.append(identity)
                    yield StateDir(place, fd)
            finally:
                os.close(fd)
    if _held is not None and identity_of(os.fstat(_held.fd)) not in seen:
        yield _held


def _open(path: str, *, create: bool) -> int:
    """Open the directory *path*. Raises FileNotFoundError if it, or with *create* its parent, does not exist."""
    try:
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            if not create:
                raise
            _make(path)
            fd = os.open(path, _FLAGS)
        except PermissionError:
            _check_user(path)
            _give_back_to_its_owner(path)
            fd = os.open(path, _FLAGS)
    except (StateDirError, FileNotFoundError):
        raise
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        raise StateDirError(
            error.errno, f"the state directory is not a usable directory ({error.strerror})", path
        ) from None
    status = os.fstat(fd)
    wrong = []
    if not is_owners(status):
        wrong.append(f"belongs to user {status.st_uid}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        wrong.append(f"is open to others (mode {stat.S_IMODE(status.st_mode):#o})")
    if wrong:
        os.close(fd)
        raise StateDirError(
            EPERM,
            f"the state directory {' and '.join(wrong)}, so it is not used; remove it, or set XDG_RUNTIME_DIR",
            path,
        )
    if status.st_mode & 0o700 != 0o700:
        _give_back_to_its_owner(path)
    return fd


def _give_back_to_its_owner(path: str) -> None:
    """Restore the owner's permissions of a directory created under a restrictive umask, if closed to others."""
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode) and is_owners(status) and not status.st_mode & 0o077:
        with failures_ignored:  # whoever opens it reports the error
            os.chmod(path, 0o700)


def _check_user(path: str) -> None:
    if os.geteuid() != owner() and not _is_in_another_user_namespace():
        raise StateDirError(
            EPERM,
            f"this process has become user {os.geteuid()} but the ledgers belong to user {owner()}, so no object is "
            "created; create the first object before the change of user",
            path,
        )


def _make(path: str) -> None:
    _check_user(path)
    try:
        check_folder(os.path.dirname(path))
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # regardless of the umask
    except FileExistsError:
        pass  # another process was faster
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        raise StateDirError(
            error.errno, f"the state directory cannot be created ({error.strerror}), so no object is created", path
        ) from None
