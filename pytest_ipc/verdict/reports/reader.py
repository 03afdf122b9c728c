"""Read reports, checked against what a report must be; one sentence for a file that is not a valid report.

A thousand reports are held at once to be compared, and nearly all that they say is the same in each. So what is the same is
kept once: a clause's facts, a verdict with its words.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from ..manual import LEVELS
from ..result import VERDICTS, Verdict
from . import input_file
from .writer import SCHEMA

__all__ = ["Clause", "Reader", "Report", "ReportError"]

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SOURCE = ("manual", "level", "since")
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)+")


class ReportError(ValueError):
    """A file that is no report, or none that can be read here; the text is a sentence that names it."""


@dataclass(frozen=True)
class Clause:
    """What is the same on every platform: where the clause comes from."""

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
    known: dict[str, str]  # by clause, why its verdict was expected


@dataclass
class Reader:
    """Reads reports. *clauses* has every clause that any of them speaks of, as the latest of them states it."""

    clauses: dict[str, Clause] = field(default_factory=dict)
    _stated: dict[str, str] = field(default_factory=dict)
    _seen: dict[Verdict, Verdict] = field(default_factory=dict)

    def read(self, path: Path) -> Report:
        """The report in the file *path*. ReportError."""
        found = _load(path)
        date = _member(path, found, "date", str)
        if not _DATE.fullmatch(date):
            raise ReportError(f"{path} is no report of pytest-ipc: its date is {date!r}")
        name = _member(path, found, "name", str)
        if not name.strip():
            raise ReportError(f"{path} is no report of pytest-ipc: its platform has no name")
        platform = _member(path, found, "platform", dict)
        broken = _member(path, found, "broken", list)
        if not all(isinstance(text, str) for text in (*platform.values(), *broken)):
            raise ReportError(f"{path} is no report of pytest-ipc: its platform and what broke are not all text")
        verdicts: dict[str, Verdict] = {}
        known: dict[str, str] = {}
        for entry in _member(path, found, "clauses", list):
            id, verdict = self._entry(path, entry, date)
            if id in verdicts:
                raise ReportError(f"{path} is no report of pytest-ipc: the clause {id!r} stands twice")
            verdicts[id] = verdict
            if why := _member(path, entry, "known", str):
                known[id] = why
        suite, status = _member(path, found, "pytest-ipc", str), _member(path, found, "exit_status", int)
        platform = {_printable(name): _printable(text) for name, text in platform.items()}
        broken = [_printable(text) for text in broken]
        return Report(path, name, date, suite, platform, status, broken, verdicts, known)

    def _entry(self, path: Path, entry: Any, date: str) -> tuple[str, Verdict]:
        if not isinstance(entry, dict):
            raise ReportError(f"{path} is no report of pytest-ipc: a clause is {str(entry)[:40]!r}")
        facts = [_member(path, entry, name, str) for name in ("id", "mechanism", "page", "section", "statement")]
        word, reason, expected, observed = (
            _member(path, entry, name, str) for name in ("verdict", "reason", "expected", "observed")
        )
        id = intern(facts[0])
        if not _ID.fullmatch(id):
            raise ReportError(f"{path} is no report of pytest-ipc: {id!r} is no clause id")
        if word not in VERDICTS:
            raise ReportError(f"{path} is no report of pytest-ipc: {word!r}, of the clause {id}, is no verdict")
        if _member(path, entry, "seconds", (int, float)) < 0:
            raise ReportError(f"{path} is no report of pytest-ipc: the clause {id} took less than no time")
        if self._stated.get(id, "") < date:
            self._stated[id] = date
            self.clauses[id] = Clause(id, intern(facts[1]), *facts[2:])
        _, level, _ = (
            _member(path, {"level": LEVELS[0], "manual": "", "since": "", **entry}, name, str) for name in _SOURCE
        )
        if level not in LEVELS:
            raise ReportError(f"{path} is no report of pytest-ipc: {level!r}, of the clause {id}, is no level")
        evidence = _member(path, {"evidence": [], **entry}, "evidence", list)
        if not all(isinstance(line, str) for line in evidence):
            raise ReportError(f"{path} is no report of pytest-ipc: the evidence of the clause {id} is not all text")
        verdict = Verdict(word, reason, expected, observed, tuple(map(_printable, evidence)))
        if verdict.evidence and not self._seen.get(verdict, verdict).evidence:
            self._seen[verdict] = verdict  # a report of before there was evidence was read first
        return id, self._seen.setdefault(verdict, verdict)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = input_file.read(path)
    except OSError as error:
        raise ReportError(f"the report {path} cannot be read: {error.strerror}") from error
    try:
        found = json.loads(text)
    except RecursionError:
        raise ReportError(f"{path} is no report of pytest-ipc: it is nested too deep") from None
    except ValueError as error:  # UnicodeDecodeError is one, too
        begin, rest = text.lstrip()[:1], text.rstrip()
        if not rest:
            raise ReportError(f"the report {path} is empty") from error
        # What begins like a report and is found wrong at its end was cut off, whatever the message speaks of.
        if begin == b"{" and (
            not rest.endswith(b"}") or getattr(error, "pos", 0) >= len(rest.decode(errors="replace"))
        ):
            raise ReportError(f"the report {path} is truncated: it ends after {len(text)} bytes") from error
        raise ReportError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or "schema" not in found:
        raise ReportError(f"{path} is JSON, but no report of pytest-ipc: it has no schema")
    schema = _member(path, found, "schema", int)
    if schema > SCHEMA:
        raise ReportError(
            f"the report {path} has the schema {schema}, and this pytest-ipc reads up to {SCHEMA}: upgrade it"
        )
    if schema < 1:
        raise ReportError(f"{path} is no report of pytest-ipc: its schema is {schema}")
    return found


def _member(path: Path, found: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = found.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        what = f"it is {str(value)[:40]!r}" if name in found else "it is missing"
        of = f" of the clause {found['id']}" if name != "id" and isinstance(found.get("id"), str) else ""
        raise ReportError(f"{path} is no report of pytest-ipc: its {name!r}{of} is not as it should be: {what}")
    return _printable(value) if isinstance(value, str) else value


def _printable(text: str) -> str:
    """A report may come from anywhere: what a terminal would obey, or no encoding has, is shown and not obeyed."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else " " if sign in "\n\t" else sign.encode("unicode_escape").decode()
        for sign in text
    )
