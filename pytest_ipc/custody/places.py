"""Where the ledgers lie, and what their names say. Imported by every run of pytest, so it imports nothing but the stdlib.

$XDG_RUNTIME_DIR where there is one, for it is private and gone with the session; else a directory below the temp folder.
"""

from __future__ import annotations

import re
import stat
import sys
from contextlib import suppress

from ..unpatched import io, os

__all__ = ["LEDGER_NAME", "has_leftovers", "home_path", "pin", "temp_folder"]

# The pid and the start time of the process; and which it is, if it has several.
LEDGER_NAME = re.compile(r"(\d{1,10})-(\d{1,20})(?:-\d{1,4})?\.ledger")


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


def temp_folder() -> str:
    """Return the folder that tempfile.gettempdir() gives, found without the file by which that tries it: a kill would leave it."""
    chosen = getattr(sys.modules.get("tempfile"), "tempdir", None)
    for name in (chosen, *map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp", "/usr/tmp"):
        if name and (name is chosen or (os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK))):
            return os.path.abspath(os.fsdecode(name))
    return os.getcwd()
