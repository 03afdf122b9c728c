"""Reserved names and keys in custody: the code under test creates the objects, later, in any of its processes.

A name or key was unused when it was recorded. So an object that has it and is not older than the record was made under
the reservation, whoever its creator is.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from typing import Any

from ...unpatched import os
from ..validators import is_number, is_text
from . import sysv_msg, sysv_sem, sysv_shm
from .file import is_older, look, unlink
from .kind import Entry, Kind
from .posix_shm import DIRECTORY, DRAWN
from .sysv import Family, Found, by_id

__all__ = ["KEYS", "NAMES"]

# A removal, and how to say it.
_Removal = tuple[Callable[[], object], str]

_VALID = re.compile(r"/[^/\0]+")


def _objects_of_name(entry: Entry) -> list[_Removal]:
    """Return the objects of any kind that have the reserved name and are not older than the record."""
    return [*_files(entry), *_queue(entry)]


def _files(entry: Entry) -> Iterator[_Removal]:
    name, folder = entry.details["name"].removeprefix("/"), os.path.realpath(DIRECTORY)
    for prefix, noun in (("", "shared memory"), ("sem.", "semaphore")):
        path = f"{folder}/{prefix}{name}"
        found = look(path)
        if found is not None and not is_older(found.status.st_ctime_ns, entry.details["at"]):
            yield (lambda path=path, found=found: _remove_file(path, found.status)), noun  # type: ignore[misc]  # defaults


def _remove_file(path: str, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        unlink(path, status)
        return
    try:
        os.rmdir(path)  # only an empty one: others are not for a name of POSIX objects
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        raise OSError(
            error.errno, f"a directory has the reserved name and is not removed ({error.strerror}); rm -r {path}"
        ) from None


def _queue(entry: Entry) -> Iterator[_Removal]:
    from ...kernel.posix_mq import mq_close, mq_open, mq_unlink

    name = entry.details["name"]
    try:
        fd = mq_open(name, os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        yield (lambda: mq_unlink(name)), "message queue"  # its mode denies a look; the name was unused before
        return
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return
    try:
        changed = os.fstat(fd).st_ctime
    finally:
        mq_close(fd)
    if changed >= int(entry.details["at"]):  # whole seconds
        yield (lambda: mq_unlink(name)), "message queue"


def _objects_of_key(entry: Entry) -> list[_Removal]:
    """Return the System V objects of any type that have the reserved key and are not older than the record."""
    return [
        (lambda family=family, found=found: family.rmid(found.id), noun)  # type: ignore[misc]  # defaults
        for noun, family in _families()
        if (found := _of_key(family, entry.details["key"])) is not None and found.ctime >= int(entry.details["at"])
    ]


def _families() -> Iterator[tuple[str, Family]]:
    yield "segment", sysv_shm.family()
    yield "semaphore set", sysv_sem.family()
    yield "message queue", sysv_msg.family()


def _of_key(family: Family, key: int) -> Found | None:
    try:
        return by_id(family.get(key), family)
    except FileNotFoundError:
        return None
    except PermissionError:  # its mode denies its owner a look
        return next((found for found in family.rows() if found.key == key), None)


def _kind(
    name: str, noun: str, objects: Callable[[Entry], list[_Removal]], detail: str, valid: Callable[[Any], bool]
) -> Kind:
    def find(entry: Entry) -> list[_Removal] | None:
        return objects(entry) or None

    def remove(_entry: Entry, found: list[_Removal]) -> None:
        for removal, _ in found:
            removal()

    def prove(entry: Entry, _found: list[_Removal]) -> str | None:
        return None if valid(entry.details[detail]) else f"it is not a valid {noun}"

    def describe(entry: Entry) -> str:
        value = entry.details[detail]
        return f"objects of the reserved {noun} {value if isinstance(value, str) else f'{value:#x}'}"

    needs = {detail: is_text if detail == "name" else is_number(-(2**31), 2**31 - 1), "ipc": is_text}
    return Kind(name, find, prove, remove, describe, needs, made={}, is_unique=_is_random)


def _is_random(entry: Entry) -> bool:
    """Return whether no object of another namespace can have the name."""
    return bool(DRAWN.fullmatch(entry.details.get("name", "")))


NAMES = _kind("reserved-name", "name", _objects_of_name, "name", lambda name: bool(_VALID.fullmatch(name)))
KEYS = _kind("reserved-key", "key", _objects_of_key, "key", bool)
