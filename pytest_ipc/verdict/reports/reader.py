"""Read reports, checked against what a report must be; one sentence for a file that is not a valid report.

A thousand reports are held in memory for a comparison, and most of their contents are equal. Equal parts are kept once:
the facts of a clause, a verdict with its texts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from ...printable import counted
from ..command_error import CommandError
from ..manual import LEVELS
from ..result import VERDICTS, Verdict
from . import input_file
from .writer import SCHEMA

__all__ = ["Clause", "Reader", "Report"]

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SOURCE = ("manual", "level", "since")
_NEED = re.compile(r"[a-z-]*")
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)+")


@dataclass(frozen=True)
class Clause:
    """The facts of a clause that are the same on every platform."""

    id: str
    mechanism: str
    page: str
    section: str
    statement: str


@dataclass(frozen=True)
class Report:
    """The verdict on one platform."""

    path: Path
    name: str
    date: str
    suite: str
    platform: dict[str, str]
    exit_status: int
    broken: list[str]
    verdicts: dict[str, Verdict]
    known: dict[str, str]  # by clause, the reason of its expectation


@dataclass
class Reader:
    """Read reports. *clauses* has every clause of any report, as stated in the latest."""

    clauses: dict[str, Clause] = field(default_factory=dict)
    _stated: dict[str, str] = field(default_factory=dict)
    _seen: dict[Verdict, Verdict] = field(default_factory=dict)

    def read(self, path: Path) -> Report:
        """Return the report in the file *path*. CommandError."""
        found = _load(path)
        date = _member(path, found, "date", str)
        if not _DATE.fullmatch(date):
            raise CommandError(
                f"{path} is not a valid report: its date must look like 2026-01-31T12:00:00Z, not {date!r}"
            )
        name = _member(path, found, "name", str)
        if not name.strip():
            raise CommandError(f"{path} is not a valid report: its name must not be empty")
        platform = _member(path, found, "platform", dict)
        broken = _member(path, found, "broken", list)
        if not all(isinstance(text, str) for text in (*platform.values(), *broken)):
            raise CommandError(f"{path} is not a valid report: its platform and broken must contain strings only")
        without = {"need": ""} if found["schema"] == 1 else {}  # the members that reports of its version do not have
        verdicts: dict[str, Verdict] = {}
        known: dict[str, str] = {}
        for entry in _member(path, found, "clauses", list):
            id, verdict = self._entry(path, entry, date, without)
            if id in verdicts:
                raise CommandError(f"{path} is not a valid report: duplicate clause id {id!r}")
            verdicts[id] = verdict
            if why := _member(path, entry, "known", str):
                known[id] = why
        suite, status = _member(path, found, "pytest-ipc", str), _member(path, found, "exit_status", int)
        platform = {_printable(name): _printable(text) for name, text in platform.items()}
        broken = [_printable(text) for text in broken]
        return Report(path, name, date, suite, platform, status, broken, verdicts, known)

    def _entry(self, path: Path, entry: Any, date: str, without: dict[str, Any]) -> tuple[str, Verdict]:
        if not isinstance(entry, dict):
            raise CommandError(f"{path} is not a valid report: a clause must be an object, not {str(entry)[:40]!r}")
        facts = [_member(path, entry, name, str) for name in ("id", "mechanism", "page", "section", "statement")]
        entry = without | entry
        word, reason, need, expected, observed = (
            _member(path, entry, name, str) for name in ("verdict", "reason", "need", "expected", "observed")
        )
        id = intern(facts[0])
        if not _ID.fullmatch(id):
            raise CommandError(f"{path} is not a valid report: {id!r} is not a valid clause id")
        if word not in VERDICTS:
            raise CommandError(
                f"{path} is not a valid report: the verdict of {id} must be one of {', '.join(VERDICTS)}, not {word!r}"
            )
        if not _NEED.fullmatch(need):
            raise CommandError(f"{path} is not a valid report: the need of {id} must be an identifier, not {need!r}")
        if _member(path, entry, "seconds", (int, float)) < 0:
            raise CommandError(f"{path} is not a valid report: the seconds of {id} must not be negative")
        if self._stated.get(id, "") < date:
            self._stated[id] = date
            self.clauses[id] = Clause(id, intern(facts[1]), *facts[2:])
        _, level, _ = (
            _member(path, {"level": LEVELS[0], "manual": "", "since": "", **entry}, name, str) for name in _SOURCE
        )
        if level not in LEVELS:
            raise CommandError(
                f"{path} is not a valid report: the level of {id} must be one of {', '.join(LEVELS)}, not {level!r}"
            )
        evidence = _member(path, {"evidence": [], **entry}, "evidence", list)
        if not all(isinstance(line, str) for line in evidence):
            raise CommandError(f"{path} is not a valid report: the evidence of {id} must contain strings only")
        trace = _member(path, {"trace": {}, **entry}, "trace", dict)
        lines = tuple(map(_printable, evidence))
        verdict = Verdict(word, reason, expected, observed, lines, need, json.dumps(trace) if trace else "")
        if trace or (verdict.evidence and not self._seen.get(verdict, verdict).evidence):
            self._seen[verdict] = verdict  # the first report read was older than evidence
        return id, self._seen.setdefault(verdict, verdict)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = input_file.read(path)
    except OSError as error:
        raise CommandError(f"the report {path} cannot be read: {error.strerror}") from error
    try:
        found = json.loads(text)
    except RecursionError:
        raise CommandError(f"{path} is not a valid report: it is nested too deep") from None
    except ValueError as error:  # includes UnicodeDecodeError
        begin, rest = text.lstrip()[:1], text.rstrip()
        if not rest:
            raise CommandError(f"the report {path} is empty") from error
        # A file that begins like a report and is invalid only at its end was truncated, whatever the error says.
        if begin == b"{" and (
            not rest.endswith(b"}") or getattr(error, "pos", 0) >= len(rest.decode(errors="replace"))
        ):
            raise CommandError(f"the report {path} is truncated: it ends after {counted(len(text), 'byte')}") from error
        raise CommandError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or "schema" not in found:
        raise CommandError(f"{path} is JSON, but not a valid report: it has no schema")
    schema = _member(path, found, "schema", int)
    if schema > SCHEMA:
        raise CommandError(
            f"the report {path} has schema {schema}, but this pytest-ipc reads up to {SCHEMA}: upgrade pytest-ipc"
        )
    if schema < 1:
        raise CommandError(f"{path} is not a valid report: its schema must be from 1 to {SCHEMA}, not {schema}")
    return found


def _member(path: Path, found: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = found.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        of = f" of the clause {found['id']}" if name != "id" and isinstance(found.get("id"), str) else ""
        what = f"has the wrong type: it is {str(value)[:40]!r}" if name in found else "is missing"
        raise CommandError(f"{path} is not a valid report: its {name!r}{of} {what}")
    return _printable(value) if isinstance(value, str) else value


def _printable(text: str) -> str:
    """Return *text* without characters that a terminal obeys or no encoding has: reports come from anywhere."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else " " if sign in "\n\t" else sign.encode("unicode_escape").decode()
        for sign in text
    )
