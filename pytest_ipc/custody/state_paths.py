"""The candidates for the state directory, and the names in it.

Every pytest run imports it, so it imports only the stdlib.

$XDG_RUNTIME_DIR where there is one, for it is private and gone with the session; else a directory below the temp folder.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress

from .. import custody
from ..unpatched import io, os

__all__ = ["LEDGER_NAME", "has_leftovers", "owner", "pin", "places", "state_dir_path", "temp_folder"]

# Where a user's runtime folder is, whatever the environment says, and folders for everybody's temporary files.
RUNTIME = ("/run/user",)
SHARED = ("/tmp", "/var/tmp", "/usr/tmp")

# The pid and the start time of the process; and which it is, if it has several.
LEDGER_NAME = re.compile(r"(\d{1,10})-(\d{1,20})(?:-\d{1,4})?\.ledger")


def has_leftovers() -> bool:
    """Whether a ledger of a process that has died lies anywhere, or a file that takes a closer look. Costs a few listings."""
    for place in places():
        with suppress(OSError):
            if any(_takes_a_look(name) for name in os.listdir(place) if name.endswith(".ledger") and name[0] != "."):
                return True
    return False


def _takes_a_look(name: str) -> bool:
    match = LEDGER_NAME.fullmatch(name)
    if match is None or not os.path.exists(f"/proc/{match[1]}"):
        return True
    from .identity import start_of

    return start_of(int(match[1])) != int(match[2])


def owner() -> int:
    """Return the user to whom the directory belongs: whoever loaded the plugin, if this process can still be that user."""
    if _pinned is not None and _pinned_owner is not None:
        return _pinned_owner
    return custody.user if custody.user in os.getresuid() else os.geteuid()


def _user() -> int:
    """Who that is outside of a user namespace of its own: inside, root of the one and root of all would have one name."""
    inside = owner()
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
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner() and status.st_mode & 0o300 == 0o300


_pinned: str | None = None
_pinned_places: tuple[str, ...] = ()
_pinned_owner: int | None = None


def pin(path: str, *others: str) -> None:
    """Stay with *path*, in this process and in those it forks: a test may change the environment, and the user it runs as.

    *others* are the directories to go to when that one has gone with the folder that it was in, in order of preference; those of
    the environment if there are none.
    """
    global _pinned, _pinned_places, _pinned_owner
    _pinned_owner = owner()
    _pinned_places = others or tuple(_candidates())
    _pinned = path


def state_dir_path() -> str:
    """Where the ledgers of this user lie, whether or not the directory exists."""
    return _candidates()[0] if _pinned is None else _pinned


def places() -> list[str]:
    """Return every directory in which ledgers of this user may lie, the one in use first, whether or not it exists."""
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
    """Return the folder that tempfile.gettempdir() gives, found without the file by which that tries it: a kill would leave it."""
    return next(_temp_folders(), os.getcwd())


def _temp_folders() -> Iterator[str]:
    """Every folder that temporary files may be in, the one that tempfile would choose first."""
    chosen = getattr(sys.modules.get("tempfile"), "tempdir", None)
    for name in (chosen, *map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), *SHARED):
        if name and (name is chosen or (os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK))):
            yield os.path.abspath(os.fsdecode(name))
