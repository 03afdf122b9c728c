"""Candidate paths of the state directory, and the names of the files in it.

Every pytest run imports it, so it imports only the stdlib.

The first candidate is in $XDG_RUNTIME_DIR, which is private and ends with the session, then those in temporary
directories.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from .. import custody
from ..unpatched import io, os

__all__ = ["has_leftovers", "ledger_name", "owner", "pin", "places", "state_dir_path", "temp_folder"]

# Parents of runtime directories, regardless of the environment, and shared temporary directories.
RUNTIME = ("/run/user",)
SHARED = ("/tmp", "/var/tmp", "/usr/tmp")


@cache
def ledger_name() -> re.Pattern[str]:
    """Return the names of ledgers: pid and start time of the process, and a number if it has several ones."""
    return re.compile(r"(\d{1,10})-(\d{1,20})(?:-\d{1,4})?\.ledger")  # only where there is a ledger


def has_leftovers() -> bool:
    """Return whether any candidate directory has a ledger of a dead process, or one that needs a closer look."""
    for place in places():
        with suppress(OSError):  # this place does not exist, or is another user's
            if any(_takes_a_look(name) for name in os.listdir(place) if name.endswith(".ledger") and name[0] != "."):
                return True
    return False


def _takes_a_look(name: str) -> bool:
    match = ledger_name().fullmatch(name)
    if match is None or not os.path.exists(f"/proc/{match[1]}"):
        return True
    if _shown_start(match[1]) == match[2]:
        return False  # it lives; a run beside it needs no other module
    from .identity import start_of

    return start_of(int(match[1])) != int(match[2])


def _shown_start(pid: str) -> str:
    """Return the start time of a process as its /proc shows it, which may be of another time namespace, or ""."""
    with suppress(OSError, IndexError), io.open(f"/proc/{pid}/stat", "rb") as file:  # it may have ended
        return file.read().rpartition(b")")[2].split()[19].decode()
    return ""


def owner() -> int:
    """Return the owner of the state directory: the user who loaded the plugin, if this process can still be it."""
    if _pinned is not None and _pinned_owner is not None:
        return _pinned_owner
    return custody.user if custody.user in os.getresuid() else os.geteuid()


def _user() -> int:
    """Return the owner's uid outside of its user namespace, as root inside and outside must not share a name."""
    inside = owner()
    with suppress(OSError), io.open("/proc/self/uid_map") as rows:  # no /proc, or no user namespaces
        for row in rows:
            first, outside, count = map(int, row.split())
            if first <= inside < first + count:
                return outside + inside - first
    return inside


def _is_own_folder(path: str) -> bool:
    """Return whether this user owns *path*: after su or sudo, XDG_RUNTIME_DIR may name another user's directory."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner() and status.st_mode & 0o300 == 0o300


_pinned: str | None = None
_pinned_places: tuple[str, ...] = ()
_pinned_owner: int | None = None


def pin(path: str, *others: str) -> None:
    """Keep *path* as state directory in this process and its forks, even if a test changes environment or user.

    *others* are the candidates, in order of preference, if its parent directory is gone; by default those of the
    current environment.
    """
    global _pinned, _pinned_places, _pinned_owner
    _pinned_owner = owner()
    _pinned_places = others or tuple(_candidates())
    _pinned = path


def state_dir_path() -> str:
    """Return the path of the current state directory, whether or not it exists."""
    return _candidates()[0] if _pinned is None else _pinned


def places() -> list[str]:
    """Return all candidate paths of the state directory, the current one first, whether or not they exist."""
    return list(dict.fromkeys([state_dir_path(), *(_candidates() if _pinned is None else _pinned_places)]))


def _candidates() -> list[str]:
    user = _user()
    runtime = [
        os.path.join(folder, "pytest-ipc")
        for folder in (os.environ.get("XDG_RUNTIME_DIR"), *(f"{users}/{user}" for users in RUNTIME))
        if folder and os.path.isabs(folder) and _is_own_folder(folder)
    ]
    return runtime + [os.path.join(folder, f"pytest-ipc-of-{user}") for folder in dict.fromkeys(_temp_folders())]


def temp_folder() -> str:
    """Return tempfile.gettempdir(), found without its trial file, which a kill would leave behind."""
    return next(_temp_folders(), None) or os.getcwd()  # which may have been removed


def _temp_folders() -> Iterator[str]:
    """Yield every candidate directory for temporary files, the one that tempfile chooses first."""
    chosen = getattr(sys.modules.get("tempfile"), "tempdir", None)
    for name in (chosen, *map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), *SHARED):
        if name and (name is chosen or (os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK))):
            yield os.path.abspath(os.fsdecode(name))
