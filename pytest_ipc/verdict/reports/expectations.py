"""Expectations: the known deviations of a platform, each with a reason, in a TOML file with a table for each verdict.

    platform = "gVisor 20250512"

    [deviates]
    "shmget.excl-existing-key" = "gVisor issue 1234"

    [absent]
    "mq_open.creates" = "no POSIX message queues"

What deviates and is not in the file is unexpected; what is in the file and holds has healed. A file need not say anything of
what is absent or untested, and then nothing comes of it; where every clause is promised to hold (`strict`), it has to.

Of platforms that many people meet, such files come with this package, in the folder known/; a plain name stands for one of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..result import ClauseResult, SuiteResult
from . import input_file

__all__ = ["EXPECTABLE", "Expectation", "ExpectationError", "Reckoning", "read", "read_all", "reckon", "shipped"]

_SHIPPED = Path(__file__).parents[1] / "known"

# `holds` needs no reason; `disputed` is the manual's fault; nobody may count on a suite that breaks.
EXPECTABLE = ("deviates", "absent", "untested")


class ExpectationError(ValueError):
    """A file that does not say what is expected; the text is a sentence that names it."""


@dataclass(frozen=True)
class Expectation:
    """The verdict that a clause is known to get, and why."""

    verdict: str
    reason: str


@dataclass
class Reckoning:
    """What came, held against what was expected: `known` came as expected, `healed` came better, `unexpected` came worse."""

    known: dict[str, Expectation] = field(default_factory=dict)
    healed: dict[str, Expectation] = field(default_factory=dict)
    unexpected: list[ClauseResult] = field(default_factory=list)

    def exit_status(self, result: SuiteResult, *, strict_expect: bool) -> int:
        """As SuiteResult.exit_status, where 1 is for what was not expected; with *strict_expect*, for what has healed, too."""
        if result.exit_status not in (0, 1):
            return result.exit_status
        return 1 if self.unexpected or (strict_expect and self.healed) else 0


def shipped() -> dict[str, Path]:
    """The files that come with this package, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def read(path: Path, clauses: Collection[str] | None = None) -> dict[str, Expectation]:
    """What the file *path* expects, by clause; where there is none of this name, the one that is shipped under it.

    ExpectationError, also for an id that is none of *clauses*.
    """
    known = shipped()
    if str(path) in known and not path.exists():
        path = known[str(path)]
    try:
        tables = tomllib.loads(input_file.read(path).decode())
    except OSError as error:
        more = ""
        if isinstance(error, FileNotFoundError):
            more = f"; `pytest-ipc expect REPORT -o {path}` writes it from a report of `pytest-ipc check --report`"
            if str(path) == path.name:
                more += f"; those that come with pytest-ipc are {', '.join(known)}"
        raise ExpectationError(f"the expectations {path} cannot be read: {error.strerror}{more}") from error
    except (ValueError, RecursionError) as error:
        raise ExpectationError(f"{path} is no TOML: {error}") from error
    found: dict[str, Expectation] = {}
    for verdict, table in tables.items():
        if verdict == "platform" and isinstance(table, str):
            continue
        if verdict not in EXPECTABLE or not isinstance(table, dict):
            raise ExpectationError(f"{path}: {verdict!r} is none of the tables {', '.join(EXPECTABLE)}")
        for id, reason in table.items():
            if id in found:
                raise ExpectationError(
                    f"{path}: the clause {id!r} stands in two tables, {found[id].verdict} and {verdict}"
                )
            found[id] = Expectation(verdict, _reason(path, verdict, id, reason))
    if clauses is not None and (unknown := sorted(found.keys() - set(clauses))):
        more = f", nor are {len(unknown) - 1} others in it" if len(unknown) > 1 else ""
        raise ExpectationError(f"{path} expects {unknown[0]!r}, which is no clause of this suite{more}")
    return found


def _reason(path: Path, verdict: str, id: str, reason: Any) -> str:
    if isinstance(reason, dict):  # what TOML makes of a.b = "text"
        raise ExpectationError(
            f"{path}: in [{verdict}], the clause id that begins with {id!r} must stand in quotation marks"
        )
    if not isinstance(reason, str) or not reason.strip():
        raise ExpectationError(f"{path}: the clause {id!r} needs a reason: some text")
    return reason.strip()


def read_all(paths: Iterable[Path], clauses: Collection[str] | None = None) -> dict[str, Expectation]:
    """What several files expect together; of a clause in more than one of them, the last counts. ExpectationError."""
    found: dict[str, Expectation] = {}
    for path in paths:
        found |= read(path, clauses)
    return found


def reckon(result: SuiteResult, expected: Mapping[str, Expectation], *, strict: bool = False) -> Reckoning:
    """Hold *result* against what is *expected*. With *strict*, what is absent or untested is unexpected, too."""
    done = Reckoning()
    bad = EXPECTABLE if strict else ("deviates",)
    for found in result.results:
        verdict = found.verdict.verdict
        expectation = expected.get(found.id)
        if expectation is not None and expectation.verdict == verdict:
            done.known[found.id] = expectation
        elif verdict in bad:
            done.unexpected.append(found)
        elif expectation is not None and verdict in ("holds", "disputed"):
            done.healed[found.id] = expectation
    return done
