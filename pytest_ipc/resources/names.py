"""Names of POSIX objects: shared memory, semaphores, message queues.

A name has the creator's pid, for people who look into /dev/shm, and 64 random bits, so that names of runs, workers and
processes never collide and cannot be guessed. Names on which C libraries disagree (without a first slash, with another
slash, empty) are rejected here; the calls in kernel/ accept all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..custody.cleanup import out_of_sight
from ..unpatched import os

if TYPE_CHECKING:
    from ..custody.ledger import Record

__all__ = ["unused_name"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

DIRECTORY = "/dev/shm"  # the directory of shared memory and semaphores in glibc and musl
NAME_MAX = 255  # bytes of a file name, on every file system of POSIX objects


def unused_name() -> str:
    """Return an unused name for a POSIX object of any kind, such as "/pytest-ipc-4711-0123456789abcdef"."""
    return f"/pytest-ipc-{os.getpid()}-{os.urandom(8).hex()}"


def check_name(name: str, what: str, longest: int = NAME_MAX) -> str:
    """Return *name* if it is a slash and 1 to *longest* bytes without another slash. Raises TypeError, ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} must be a string like '/name', not {name!r}")
    if "\0" in name:
        raise ValueError(f"{name!r} cannot be the name of {what}: it must not contain a NUL")
    rest = name[1:]
    if not name.startswith("/") or not rest or "/" in rest or rest in (".", ".."):
        raise ValueError(f"{name!r} cannot be the name of {what}: it must be a slash and a file name without a slash")
    if (size := bytes_of(rest, f"the name of {what}")) > longest:
        raise ValueError(
            f"{name[:20]!r}... cannot be the name of {what}: {size} bytes after the slash, "
            f"the limit is {longest} ({'NAME_MAX' if longest == NAME_MAX else f'NAME_MAX - {NAME_MAX - longest}'})"
        )
    return name


def bytes_of(name: str, what: str) -> int:
    """Return the number of bytes of a file name. Raises ValueError if no file can have it."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} must be encodable as {error.encoding}, not {name[:80]!r}") from None


def shared_memory_directory() -> tuple[int, int] | None:
    """Return device and inode of /dev/shm, which is another directory in another root or mount namespace."""
    try:
        status = os.stat(DIRECTORY)
    except OSError as error:
        if error.errno is None:  # a signal handler raised it
            raise
        return None
    return status.st_dev, status.st_ino


def unlink_name(
    it: object,
    has_its_name: Callable[[], bool],
    unlink: Callable[[], None],
    record: Record | None,
    sees_it: Callable[[], str],
) -> bool:
    """Remove the name of *it*, unless it is removed or another object's by now; return whether this call did.

    *sees_it* returns "" if this process can see that the name is removed, else the place where the object was created;
    the record then stays open. Raises OSError.
    """
    if record is not None and not record.is_open:
        return False
    try:
        removed = has_its_name()
        if removed:
            unlink()
    except FileNotFoundError:
        removed = False
    except OSError as error:
        error.add_note(f"while unlinking {it!r}")
        raise
    if record is not None:
        if not removed and (place := sees_it()):
            raise out_of_sight(it, place)
        record.closed()
    return removed
