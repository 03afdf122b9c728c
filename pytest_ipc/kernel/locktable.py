"""The holders of locks as the kernel shows them: rows of /proc/locks and /proc/PID/fdinfo (proc(5)).

/proc/locks names a file by the device of its superblock and its inode's number there. stat(2) gives other numbers on
btrfs and overlayfs, so the numbers are read from /proc/self/fdinfo and mountinfo. /proc/locks shows no process for the
lock of an open file description; the processes that have the description open are found by their fdinfo, where that is
readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from ..printable import plain
from ..unpatched import io, os

__all__ = ["LockRow", "locks_of", "picture_of_locks", "proc_locks"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_ROW = re.compile(
    r"(?P<id>\d+): +(?P<blocked>-> )?(?P<kind>[A-Z]+) +(?P<mode>\S+) +(?P<type>[A-Z]+) +(?P<pid>-?\d+) "
    r"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+):(?P<ino>\d+) (?P<start>\d+) (?P<end>\d+|EOF)"
)
_MISSING = "the holders of locks cannot be shown: /proc/locks does not exist"


@dataclass(frozen=True, slots=True)
class LockRow:
    """A row of /proc/locks (proc(5)): a lock that is held, or one that is waited for, `blocked` (the arrow).

    `id` is the same for a lock and for its waiters; `kind` is FLOCK, POSIX, OFDLCK, LEASE or DELEG; `mode` is ADVISORY,
    or for a lease ACTIVE, BREAKING or BREAKER; `type` is READ, WRITE or UNLCK; `pid` is -1 for the lock of an open file
    description and 0 for a process of another PID namespace. `start` and `end` are the first and last byte, counted
    from 0; `end` is None for the end of the file.
    """

    id: int
    blocked: bool
    kind: str
    mode: str
    type: str
    pid: int
    major: int
    minor: int
    ino: int
    start: int
    end: int | None

    def __str__(self) -> str:
        name = {"READ": "shared", "WRITE": "exclusive"}.get(self.type, self.type.lower())
        if self.kind in ("LEASE", "DELEG"):
            return f"{name} {self.kind.lower()} ({self.mode.lower()})"
        if self.kind == "FLOCK":
            return f"{name} flock of the file"
        last = "the end" if self.end is None else str(self.end)
        return f"{name} {'OFD' if self.kind == 'OFDLCK' else 'record'} lock of bytes {self.start} to {last}"


def _lines(path: str) -> list[str] | None:
    try:
        with io.open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return None


def proc_locks() -> list[LockRow] | None:
    """Return every lock that /proc/locks shows, each followed by its waiters; None if the file does not exist.

    Locks of processes in another PID namespace are not shown.
    """
    lines = _lines("/proc/locks")
    return None if lines is None else _rows(lines)


def _rows(lines: list[str]) -> list[LockRow]:
    return [_row(found) for line in lines if (found := _ROW.search(line))]


def _row(found: re.Match[str]) -> LockRow:
    return LockRow(
        int(found["id"]),
        found["blocked"] is not None,
        found["kind"],
        found["mode"],
        found["type"],
        int(found["pid"]),
        int(found["major"], 16),
        int(found["minor"], 16),
        int(found["ino"]),
        int(found["start"]),
        None if found["end"] == "EOF" else int(found["end"]),
    )


def locks_of(file: int | str | os.PathLike[str]) -> list[LockRow] | None:
    """Return the rows of /proc/locks about *file*, a descriptor or a path; None if the file does not exist.

    OSError if *file* cannot be opened. No descriptor is closed on which a record lock depends.
    """
    rows = proc_locks()
    if rows is None:
        return None
    if isinstance(file, int):
        identities = _identities(file)
    else:
        fd = os.open(file, os.O_PATH | os.O_CLOEXEC)  # its close releases no record locks, unlike any other
        try:
            identities = _identities(fd)
        finally:
            os.close(fd)
    return [row for row in rows if (row.major, row.minor, row.ino) in identities]


def _identities(fd: int) -> set[tuple[int, int, int]]:
    """Return the device and inode numbers under which /proc/locks may show the file behind *fd*."""
    status = os.fstat(fd)
    device = (os.major(status.st_dev), os.minor(status.st_dev))
    info = dict(line.split(":", 1) for line in _lines(f"/proc/self/fdinfo/{fd}") or () if ":" in line)
    ino = int(info.get("ino", status.st_ino))  # since Linux 5.14
    for line in _lines("/proc/self/mountinfo") or ():
        words = line.split()
        if words[0] == info.get("mnt_id", "").strip():
            major, _, minor = words[2].partition(":")
            return {(*device, status.st_ino), (int(major), int(minor), ino)}
    return {(*device, status.st_ino)}


def own_locks(fd: int) -> list[LockRow]:
    """Return the locks that this process holds by *fd*, from /proc/self/fdinfo; none if they are not shown there."""
    return _rows([line for line in _lines(f"/proc/self/fdinfo/{fd}") or () if line.startswith("lock:")])


def picture_of_locks(file: int | str | os.PathLike[str]) -> str:
    """Return the locks of *file*, a descriptor or a path, with their holders and waiters, as text: a line each.

    OSError.
    """
    rows = locks_of(file)
    if rows is None:
        return _MISSING
    if not rows:
        return "no lock on it is visible here"
    return "\n".join(f"{'    waited for: ' if row.blocked else ''}{row}, {_holder(row)}" for row in rows)


def _holder(row: LockRow) -> str:
    if row.pid > 0 and (row.blocked or row.kind != "FLOCK"):
        return _process(row.pid)
    # The lock belongs to an open file description; the process shown took it, and may have closed it or ended since.
    holders = [] if row.blocked else list(_having_open(row))
    if not holders:
        return f"taken by {_process(row.pid)}" if row.pid > 0 else "by a process of another PID namespace"
    return "held by " + " and ".join(f"descriptor {fd} of {_process(pid)}" for pid, fd in holders)


def _process(pid: int) -> str:
    name = _lines(f"/proc/{pid}/comm")
    return f"process {pid} ({plain(name[0])})" if name else f"process {pid}, which has ended"


def _having_open(row: LockRow) -> Iterator[tuple[int, int]]:
    """Yield pid and descriptor of the processes that have the lock's open file description, as far as readable."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # another user's, or ended
            for fd in os.listdir(f"/proc/{pid}/fdinfo"):
                lines = _lines(f"/proc/{pid}/fdinfo/{fd}") or ()
                found = _rows([line for line in lines if line.startswith("lock:")])
                # Each fdinfo numbers its locks anew; the rest of the row is that of /proc/locks.
                if any(replace(other, id=row.id) == row for other in found):
                    yield int(pid), int(fd)
