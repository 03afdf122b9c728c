"""Expectations: the known deviations of a platform, each with a reason, in a TOML file with a table for each verdict.

    platform = "gVisor 20250512"

    [deviates]
    "shmget.excl-existing-key" = "gVisor issue 1234"

    [absent]
    "mq_open.creates" = "no POSIX message queues"

A deviation that is not in the file is unexpected; a clause of the file that holds unexpectedly holds. Absent and
untested clauses need not be in the file and are not counted, unless every clause must hold (`strict`).

Expectations of common platforms are bundled in the directory known/; a plain name selects one of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..command_error import CommandError, did_you_mean
from ..result import ClauseResult, SuiteResult
from . import input_file

__all__ = ["EXPECTABLE", "Comparison", "Expectation", "bundled", "compare", "read", "read_all"]

_BUNDLED = Path(__file__).with_name("known")

# `holds` needs no reason; `disputed` counts as passing; a broken suite is never expected.
EXPECTABLE = ("deviates", "absent", "untested")


@dataclass(frozen=True)
class Expectation:
    """The verdict that a clause is expected to get, and the reason."""

    verdict: str
    reason: str


@dataclass
class Comparison:
    """Verdicts compared with the expectations: as expected, unexpectedly holding, and unexpected."""

    as_expected: dict[str, Expectation] = field(default_factory=dict)
    unexpectedly_holding: dict[str, Expectation] = field(default_factory=dict)
    unexpected: list[ClauseResult] = field(default_factory=list)

    def exit_status(self, result: SuiteResult, *, strict_expect: bool) -> int:
        """Return the exit status: 1 for unexpected verdicts, and for unexpectedly holding ones with *strict_expect*."""
        if result.exit_status not in (0, 1):
            return result.exit_status
        return 1 if self.unexpected or (strict_expect and self.unexpectedly_holding) else 0


def bundled() -> dict[str, Path]:
    """Return the bundled expectations by name."""
    return {path.stem: path for path in sorted(_BUNDLED.glob("*.toml"))}


def read(path: Path, clauses: Collection[str] | None = None) -> dict[str, Expectation]:
    """Return the expectations in the file *path*, or else the bundled ones of that name, by clause.

    CommandError for an invalid file, or for an id that is not one of *clauses*.
    """
    names = bundled()
    if str(path) in names and not path.exists():
        path = names[str(path)]
    try:
        tables = tomllib.loads(input_file.read(path).decode())
    except OSError as error:
        more = ""
        if isinstance(error, FileNotFoundError):
            more = f"; `pytest-ipc expect REPORT -o {path}` writes it from a report of `pytest-ipc check --report`"
            if str(path) == path.name:
                more += f"; bundled expectations are {', '.join(names)}{did_you_mean(str(path), names)}"
        raise CommandError(f"the expectations {path} cannot be read: {error.strerror}{more}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is not valid TOML: {error}") from error
    found: dict[str, Expectation] = {}
    for verdict, table in tables.items():
        if verdict == "platform" and isinstance(table, str):
            continue
        if verdict not in EXPECTABLE or not isinstance(table, dict):
            raise CommandError(f"{path}: table must be one of {', '.join(EXPECTABLE)}, not {verdict!r}")
        for id, reason in table.items():
            if id in found:
                raise CommandError(f"{path}: the clause {id!r} is in two tables, {found[id].verdict} and {verdict}")
            found[id] = Expectation(verdict, _reason(path, verdict, id, reason))
    if clauses is not None and (unknown := sorted(found.keys() - set(clauses))):
        more = f", nor are {len(unknown) - 1} others in it" if len(unknown) > 1 else ""
        more += did_you_mean(unknown[0], clauses)
        raise CommandError(f"{path} expects {unknown[0]!r}, which is not a clause of this suite{more}")
    return found


def _reason(path: Path, verdict: str, id: str, reason: Any) -> str:
    if isinstance(reason, dict):  # a.b = "text" in TOML
        raise CommandError(f"{path}: in [{verdict}], the clause id that begins with {id!r} must be in quotation marks")
    if not isinstance(reason, str) or not reason.strip():
        raise CommandError(f"{path}: the reason of the clause {id!r} must be a non-empty string")
    return reason.strip()


def read_all(paths: Iterable[Path], clauses: Collection[str] | None = None) -> dict[str, Expectation]:
    """Return the expectations of several files; for a clause in more than one, the last counts. CommandError."""
    found: dict[str, Expectation] = {}
    for path in paths:
        found |= read(path, clauses)
    return found


def compare(result: SuiteResult, expected: Mapping[str, Expectation], *, strict: bool = False) -> Comparison:
    """Compare *result* with the expectations. With *strict*, absent and untested clauses are unexpected, too."""
    done = Comparison()
    bad = EXPECTABLE if strict else ("deviates",)
    for found in result.results:
        verdict = found.verdict.verdict
        expectation = expected.get(found.id)
        if expectation is not None and expectation.verdict == verdict:
            done.as_expected[found.id] = expectation
        elif verdict in bad:
            done.unexpected.append(found)
        elif expectation is not None and verdict in ("holds", "disputed"):
            done.unexpectedly_holding[found.id] = expectation
    return done
