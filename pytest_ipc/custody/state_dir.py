"""The state directory, which holds the ledgers; opened only if it can be trusted.

Anybody can guess its name (state_paths.py). So it is looked at before it is used: a directory, not a link to one, owned by this user,
closed to all others. If it is not, that is an error and not a reason to try another name: somebody has put it there.
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
    """The directory of the ledgers cannot be used: what is wrong with it, and the way out."""


class StateDir(NamedTuple):
    """A directory of ledgers: its path, and a descriptor of it."""

    path: str
    fd: int


@contextmanager
def as_owner() -> Iterator[None]:
    """Be the user to whom the directory belongs, where a test has changed the effective user only."""
    now, user = os.geteuid(), owner()
    if now == user:
        yield
        return
    try:
        with failures_ignored:  # it has become another user for good: what it has open has to do
            os.seteuid(user)
        yield
    finally:
        if os.geteuid() != now:
            os.seteuid(now)


def is_owners(status: os.stat_result) -> bool:
    """Return whether a file belongs to the user to whom the directory belongs."""
    return status.st_uid == owner() or (status.st_uid == os.geteuid() and _is_in_another_user_namespace())


_user_namespace = os.stat("/proc/self/ns/user").st_ino if os.path.exists("/proc/self/ns/user") else 0


def _is_in_another_user_namespace() -> bool:
    """Whether numbers of users are others here than where the plugin was loaded."""
    try:
        return os.stat("/proc/self/ns/user").st_ino != _user_namespace
    except OSError:
        return False


def open_state_dir(*, create: bool, path: str | None = None) -> int | None:
    """A descriptor of the directory; None when it does not exist and *create* is false. StateDirError if it cannot be trusted.

    With *create*, and without a *path*, the next place is taken where the folder that held the directory has gone.
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
            "the folder of the ledgers' directory has gone, and there is no other, so nothing is made",
            state_dir_path(),
        )
    return None


_held: StateDir | None = None


def hold() -> None:
    """Hold the directory in use open: it is found by homes() even when it has been unmounted or removed. StateDirError."""
    global _held
    fd = open_state_dir(create=False)
    _held = None if fd is None else StateDir(state_dir_path(), fd)


def state_dirs(refused: list[str]) -> Iterator[StateDir]:
    """Go through every directory of ledgers of this user that exists; a sentence on each that cannot be trusted is *refused*.

    StateDirError for the one in use.
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
    """FileNotFoundError where it does not exist; with *create*, where it cannot be made because the folder above is not there."""
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
            error.errno, f"the ledger's directory is no directory of ours ({error.strerror})", path
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
            f"the ledger's directory {' and '.join(wrong)}, and is not used; remove it, or set XDG_RUNTIME_DIR",
            path,
        )
    if status.st_mode & 0o700 != 0o700:
        _give_back_to_its_owner(path)
    return fd


def _give_back_to_its_owner(path: str) -> None:
    """Give its owner all rights to a directory that was made under an umask that took them, and is closed to all others."""
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode) and is_owners(status) and not status.st_mode & 0o077:
        with failures_ignored:
            os.chmod(path, 0o700)


def _check_user(path: str) -> None:
    if os.geteuid() != owner() and not _is_in_another_user_namespace():
        raise StateDirError(
            EPERM,
            f"this process has become user {os.geteuid()} and the ledgers are user {owner()}'s, so nothing is made; make the "
            "first object before",
            path,
        )


def _make(path: str) -> None:
    _check_user(path)
    try:
        check_folder(os.path.dirname(path))
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # whatever the umask
    except FileExistsError:
        pass  # somebody else was faster
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        raise StateDirError(
            error.errno, f"the ledger's directory cannot be made ({error.strerror}), so nothing is made", path
        ) from None
