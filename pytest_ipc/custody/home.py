"""Where the ledgers lie: a directory that is the user's own and nobody else's, or none at all.

$XDG_RUNTIME_DIR where there is one, for it is private and gone with the session; else a directory below the temp folder whose
name anybody can guess. So it is looked at before it is trusted: a directory, not a link to one, owned by this user, closed to
all others. If it is not, that is an error and not a reason to try another name: somebody has put it there.
"""

from __future__ import annotations

import re
import stat
from contextlib import suppress

from ..unpatched import io, os
from .folders import temp_folder

__all__ = ["LEDGER_NAME", "HomeError", "has_leftovers", "home_path", "ledger_name", "open_home", "pin"]


class HomeError(OSError):
    """The directory of the ledgers cannot be used: what is wrong with it, and the way out."""


_pinned: str | None = None


def pin(path: str) -> None:
    """Stay with *path*, in this process and in those it forks: a test may change the environment, and the user it runs as."""
    global _pinned
    _pinned = path


def home_path() -> str:
    """Where the ledgers of this user lie, whether or not the directory exists."""
    if _pinned is not None:
        return _pinned
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime) and _is_own_folder(runtime):
        return os.path.join(runtime, "pytest-ipc")
    return os.path.join(temp_folder(), f"pytest-ipc-of-{_user()}")


LEDGER_NAME = re.compile(r"(\d{1,10})-(\d{1,20})\.ledger")


def ledger_name(pid: int, start: int) -> str:
    """The name of a process's ledger: its pid and its start time in clock ticks."""
    return f"{pid}-{start}.ledger"


def has_leftovers() -> bool:
    """Whether a ledger of a process that has died lies there, or a file that takes a closer look. Costs one listing."""
    try:
        names = os.listdir(home_path())
    except OSError:
        return False
    return any(_takes_a_look(name) for name in names if name.endswith(".ledger") and name[0] != ".")


def _takes_a_look(name: str) -> bool:
    match = LEDGER_NAME.fullmatch(name)
    if match is None or not os.path.exists(f"/proc/{match[1]}"):
        return True
    from .identity import start_of

    return start_of(int(match[1])) != int(match[2])


def _user() -> int:
    """Who this is outside of a user namespace of its own: inside, root of the one and root of all would have one name."""
    inside = os.geteuid()
    with suppress(OSError), io.open("/proc/self/uid_map") as rows:
        for row in rows:
            first, outside, count = map(int, row.split())
            if first <= inside < first + count:
                return outside + inside - first
    return inside


def _is_own_folder(path: str) -> bool:
    """Whether it may hold a home. After su or sudo the variable may name another user's, and is not ours to put things in."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and os.access(path, os.W_OK | os.X_OK)


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
