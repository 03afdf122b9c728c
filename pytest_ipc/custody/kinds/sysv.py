"""System V objects in custody: the common part of segments, semaphore sets and message queues.

An id holds its slot's sequence number, so that the slot's next tenant has another one. Only segments have their creating
process on the kernel's record. Of the others the record always tells the id; and for the moment between the call and that
record the object is made with mode bits that are drawn at random, and asked for once its id is told (see resources/sysv.py).

A row for another type is a `Family` and what its records need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..validators import Checks, is_bool, is_number, is_optional, is_text
from .file import SOON
from .kind import Entry, Kind

__all__ = ["Family", "Found", "sysv"]

# For each mark what people call it, and what it is counted in.
Words = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Found:
    """What the kernel says of an object; `marks` is what else its records have, by the name that it has there."""

    id: int
    key: int | None  # None once a segment's removal is pending: it has lost its key
    mode: int
    cuid: int
    ctime: int
    marks: Mapping[str, int] = field(default_factory=dict)
    cpid: int | None = None  # None where the kernel keeps no account of it
    used: bool = False  # by anybody since it was made, as far as that is on the kernel's record
    doubles: int = 1  # how many there are that it could be


@dataclass(frozen=True)
class Family:
    """The calls of one type, all of which may raise OSError: every object's account, one's by id, the id of a key, removal."""

    rows: Callable[[], Iterable[Found]]
    stat: Callable[[int], Found]
    get: Callable[[int], int]
    rmid: Callable[[int], object]


def sysv(name: str, word: str, load: Callable[[], Family], needs: Checks, words: Words) -> Kind:
    """The row for one type. *load* is called with the first object, for it loads ctypes."""

    def find(entry: Entry) -> Found | None:
        return _find(entry, load(), words)

    def remove(_entry: Entry, found: Found) -> None:
        load().rmid(found.id)

    def describe(entry: Entry) -> str:
        id = f"id {entry.made['id']}, " if entry.made else ""
        marks = "".join(f", {entry.details[mark]} {unit}" for mark, (_, unit) in words.items())
        return f"System V {word} ({id}key {entry.details['key']:#x}{marks})"

    return Kind(
        name,
        find,
        lambda entry, found: _doubt(entry, found, words),
        remove,
        describe,
        needs={"key": is_number(-(2**31), 2**31 - 1), "ipc": is_text, "drawn": is_optional(is_bool), **needs},
        made={"id": is_number(0, 2**31 - 1)},
        is_unique=_is_drawn,
    )


def _find(entry: Entry, family: Family, words: Words) -> Found | None:
    if entry.made is not None:
        return _by_id(entry.made["id"], family)
    if entry.details["key"]:
        try:
            return _by_id(family.get(entry.details["key"]), family)
        except FileNotFoundError:
            return None
    # IPC_PRIVATE, and killed between the call and its record: whatever the record fits.
    fitting = [found for found in family.rows() if found.key == 0 and _doubt(entry, found, words) is None]
    if not fitting:
        return None
    # Where the kernel knows the creator all of them are that process's, and each has a record of its own.
    return fitting[0] if fitting[0].cpid is not None else replace(fitting[0], doubles=len(fitting))


def _by_id(id: int, family: Family) -> Found | None:
    """The object with that id; None if there is none. PermissionError if there is one and nothing shows what it is."""
    try:
        return family.stat(id)
    except PermissionError:
        # Its mode may keep its own owner from looking, and not from removing it. Here everybody may look.
        for found in family.rows():
            if found.id == id:
                return found
        raise
    except OSError:
        return None


def _doubt(entry: Entry, found: Found, words: Words) -> str | None:
    """Why *found* is not what the record tells of; None if it is."""
    details = entry.details
    if found.doubles > 1:
        return f"{found.doubles} objects may be it, one of them with id {found.id}"
    wanted: dict[str, tuple[object, object]] = {}
    if found.cpid is not None and not (entry.pid < 0 and _is_drawn(entry)):
        wanted["creating process"] = (entry.pid, found.cpid)
    wanted["creating user"] = (details["uid"], found.cuid)
    for mark, (word, _) in words.items():
        wanted[word] = (details[mark], found.marks[mark])
    if found.key is not None:
        wanted["key"] = (details["key"], found.key)
    if found.cpid is None and entry.made is None:
        wanted["mode"] = (f"{details['mode']:#o}", f"{found.mode:#o}")
    for what, (recorded, seen) in wanted.items():
        if recorded != seen:
            return f"its {what} is {seen} and not {recorded}"
    if found.cpid is None and entry.made is None and found.used:
        return "it is in use, and nothing shows who made it"
    if found.ctime < int(details["at"]):
        return "it is older than the record"
    if entry.made is None and not _is_drawn(entry) and found.ctime > details["at"] + SOON:
        return "it is younger than the record by more than it takes to make one"
    return None


def _is_drawn(entry: Entry) -> bool:
    """Whether its key was drawn at random."""
    return entry.details["key"] != 0 and entry.details.get("drawn") is True
