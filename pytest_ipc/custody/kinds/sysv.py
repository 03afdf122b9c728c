"""System V objects in custody: the common part of segments, semaphore sets and message queues.

An id contains a sequence number, so a later object in the same slot has another id. The kernel keeps the creating
process of segments only. Other types are identified by their recorded id; until that is recorded, by random mode bits,
which resources/sysv.py replaces by the requested mode afterwards.

To add another type, provide a `Family` and validators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from ..validators import Checks, is_bool, is_number, is_optional, is_text
from .file import SOON
from .kind import Entry, Kind

__all__ = ["Family", "Found", "by_id", "sysv"]

# For each mark, its noun and its unit.
Marks = Mapping[str, tuple[str, str]]


class Found(NamedTuple):
    """An object as found; `marks` are the other recorded attributes by name."""

    id: int
    key: int | None  # None if a segment's removal is pending, which clears its key
    mode: int
    cuid: int
    ctime: int
    marks: Mapping[str, int] = MappingProxyType({})
    cpid: int | None = None  # None if the kernel does not keep it
    used: bool = False  # by any process since its creation, as far as the kernel shows
    doubles: int = 1  # the number of objects that fit the record


class Family(NamedTuple):
    """The calls of one type: list all, stat by id, id of a key, remove. All may raise OSError."""

    rows: Callable[[], Iterable[Found]]
    stat: Callable[[int], Found]
    get: Callable[[int], int]
    rmid: Callable[[int], object]


def sysv(name: str, noun: str, load: Callable[[], Family], needs: Checks, units: Marks) -> Kind:
    """Return the kind for one type. *load* is called with the first object, as it loads ctypes."""
    load = cache(load)

    def find(entry: Entry) -> Found | None:
        return _find(entry, load(), units)

    def remove(_entry: Entry, found: Found) -> None:
        load().rmid(found.id)

    def describe(entry: Entry) -> str:
        id = f"id {entry.made['id']}, " if entry.made else ""
        marks = "".join(f", {entry.details[mark]} {unit}" for mark, (_, unit) in units.items())
        return f"System V {noun} ({id}key {entry.details['key']:#x}{marks})"

    return Kind(
        name,
        find,
        lambda entry, found: _doubt(entry, found, units),
        remove,
        describe,
        needs={"key": is_number(-(2**31), 2**31 - 1), "ipc": is_text, "drawn": is_optional(is_bool), **needs},
        made={"id": is_number(0, 2**31 - 1)},
        is_unique=_is_drawn,
    )


def _find(entry: Entry, family: Family, units: Marks) -> Found | None:
    if entry.made is not None:
        return by_id(entry.made["id"], family)
    if entry.details["key"]:
        try:
            return by_id(family.get(entry.details["key"]), family)
        except FileNotFoundError:
            return None
    # IPC_PRIVATE, and killed before the id was recorded: find the objects that fit the record.
    fitting = [found for found in family.rows() if found.key == 0 and _doubt(entry, found, units) is None]
    if not fitting:
        return None
    # If the kernel shows the creator, all are of that process, and each has its own record.
    return fitting[0] if fitting[0].cpid is not None else fitting[0]._replace(doubles=len(fitting))


def by_id(id: int, family: Family) -> Found | None:
    """Return the object with *id*; None if there is none. Raises PermissionError if it cannot be identified."""
    try:
        return family.stat(id)
    except PermissionError:
        # The mode may deny its owner IPC_STAT but not IPC_RMID. /proc/sysvipc needs no permission.
        for found in family.rows():
            if found.id == id:
                return found
        raise
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return None


def _doubt(entry: Entry, found: Found, units: Marks) -> str | None:
    """Return why *found* is not the recorded object; None if it is."""
    details = entry.details
    if found.doubles > 1:
        return f"{found.doubles} objects fit its record, one of them with id {found.id}"
    wanted: dict[str, tuple[object, object]] = {}
    if found.cpid is not None and not (entry.pid < 0 and _is_drawn(entry)):
        wanted["creating process"] = (entry.pid, found.cpid)
    wanted["creating user"] = (details["uid"], found.cuid)
    for mark, (noun, _) in units.items():
        wanted[noun] = (details[mark], found.marks[mark])
    if found.key is not None:
        wanted["key"] = (details["key"], found.key)
    if found.cpid is None and entry.made is None:
        wanted["mode"] = (f"{details['mode']:#o}", f"{found.mode:#o}")
    for what, (recorded, seen) in wanted.items():
        if recorded != seen:
            return f"its {what} is {seen}, not {recorded}"
    if found.cpid is None and entry.made is None and found.used:
        return "it is in use, and its creator is unknown"
    if found.ctime < int(details["at"]):
        return "it is older than the record"
    if entry.made is None and not _is_drawn(entry) and found.ctime > details["at"] + SOON:
        return "it was made too long after the record"
    return None


def _is_drawn(entry: Entry) -> bool:
    """Return whether its key is random."""
    return entry.details["key"] != 0 and entry.details.get("drawn") is True
