"""Children in custody, with their descendants: found, verified and ended as search.py describes."""

from __future__ import annotations

import errno
from typing import Any

from ..identity import TAGS, Process
from ..search import Found, Search, ended, is_possible
from ..validators import CHILD, is_number
from .kind import Entry, Kind

__all__ = ["CHILDREN"]


def _find_child(entry: Entry) -> Found | None:
    tag = entry.details["tag"]
    if entry.made is not None and not is_possible(entry):
        return Found() if Process(entry.made["pid"], entry.made["start"]).alive() else None
    found = ended(tag)
    if found is None:
        search = Search([entry])
        if tag not in search.found:
            return Found()
        search.look()
        found = search.found[tag]
    return found if found.proven or found.doubtful else None


def _prove_child(entry: Entry, found: Found) -> str | None:
    if not is_possible(entry):
        return "it is older than its recorded parent"
    if not found.proven:
        return found.doubt() or "it is this process or its ancestor"
    return None


def _remove_child(entry: Entry, found: Found) -> None:
    if not found.ended:
        search = Search([entry])
        search.end()
        found = search.found[entry.details["tag"]]
    if doubt := found.doubt():
        raise OSError(errno.EPERM, doubt)


def _describe_child(entry: Entry) -> str:
    return f"child process {entry.made['pid']}" if entry.made else "child process"


def _is_session(value: Any) -> bool:
    return value is None or is_number(0, 2**31 - 1)(value)


CHILDREN = Kind(
    "process",
    _find_child,
    _prove_child,
    _remove_child,
    _describe_child,
    needs={"tag": is_number(*TAGS), "session": _is_session},
    made=CHILD,
)
