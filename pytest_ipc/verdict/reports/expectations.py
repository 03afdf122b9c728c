"""Expectations: the known deviations of a platform, each with a reason, in a TOML file with a table for each verdict.

    platform = "gVisor 20250512"

    [deviates]
    "shmget.excl-existing-key" = "gVisor issue 1234"

    "semundo.sigkill-restores" = { reason = "not in time", sometimes = "3 of 20 runs" }
    "fcntl.ofd-deadlock" = { reason = "fixed in 6.9", since = "6.1", before = "6.9" }

    [absent]
    "mq_open.creates" = "no POSIX message queues"

A deviation that is not in the file is unexpected; a clause of the file that holds unexpectedly holds, unless it
deviates only `sometimes`. `since` and `before` are kernel releases: on others the clause is not expected. Absent and
untested clauses need not be in the file and are not counted, unless every clause must hold (`strict`).

Expectations of common platforms are bundled in the directory known/; a plain name selects one of them. Their
`recognised` has texts of the description of such a platform, by name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..command_error import CommandError, did_you_mean
from ..result import ClauseResult, SuiteResult
from . import input_file

__all__ = ["EXPECTABLE", "Comparison", "Expectation", "bundled", "compare", "read", "read_all", "recognised", "signs"]

_BUNDLED = Path(__file__).with_name("known")

# `holds` needs no reason; `disputed` counts as passing; a broken suite is never expected.
EXPECTABLE = ("deviates", "absent", "untested")
_KEYS = {"reason", "sometimes", "since", "before"}
_VERSION = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Expectation:
    """The verdict that a clause is expected to get, and the reason."""

    verdict: str
    reason: str
    sometimes: str = ""  # how often, as "3 of 20 runs", if other runs give another verdict
    since: str = ""  # the first kernel release with this verdict
    before: str = ""  # the first kernel release without it
    otherwise: Expectation | None = None  # that of an earlier file, for other releases

    def on(self, kernel: str) -> Expectation | None:
        """Return the expectation on a platform with *kernel* in its description; None if there is none."""
        release = _release(kernel)
        is_meant = not release or (
            (not self.since or release >= _release(self.since)) and (not self.before or release < _release(self.before))
        )
        if is_meant:
            return self
        return self.otherwise.on(kernel) if self.otherwise is not None else None

    @property
    def in_words(self) -> str:
        """The reason, and how often."""
        return f"{self.reason} ({self.sometimes})" if self.sometimes else self.reason


def _release(text: str) -> tuple[int, ...]:
    """Return the numbers of a release: (6, 1) of "6.1", or of "Linux 6.1-rc2 #1"."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


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
        if (
            verdict == "recognised"
            and isinstance(table, dict)
            and all(isinstance(text, str) for text in table.values())
        ):
            continue
        if verdict not in EXPECTABLE or not isinstance(table, dict):
            raise CommandError(f"{path}: table must be one of {', '.join(EXPECTABLE)}, not {verdict!r}")
        for id, reason in table.items():
            if id in found:
                raise CommandError(f"{path}: the clause {id!r} is in two tables, {found[id].verdict} and {verdict}")
            found[id] = _expectation(path, verdict, id, reason)
    if clauses is not None and (unknown := sorted(found.keys() - set(clauses))):
        more = f", nor are {len(unknown) - 1} others in it" if len(unknown) > 1 else ""
        more += did_you_mean(unknown[0], clauses)
        raise CommandError(f"{path} expects {unknown[0]!r}, which is not a clause of this suite{more}")
    return found


def _expectation(path: Path, verdict: str, id: str, value: Any) -> Expectation:
    if isinstance(value, dict) and "reason" not in value:  # a.b = "text" in TOML
        raise CommandError(f"{path}: in [{verdict}], the clause id that begins with {id!r} must be in quotation marks")
    entry = value if isinstance(value, dict) else {"reason": value}
    if unknown := sorted(entry.keys() - _KEYS):
        raise CommandError(f"{path}: an entry of {id!r} must be one of {', '.join(sorted(_KEYS))}, not {unknown[0]!r}")
    for name, text in entry.items():
        if not isinstance(text, str) or not text.strip():
            raise CommandError(f"{path}: the {name} of the clause {id!r} must be a non-empty string")
        if name in ("since", "before") and not _VERSION.fullmatch(text):
            raise CommandError(f"{path}: {name} of the clause {id!r} must be a kernel release like '6.1', not {text!r}")
    return Expectation(verdict, **{name: text.strip() for name, text in entry.items()})


def read_all(paths: Iterable[Path], clauses: Collection[str] | None = None) -> dict[str, Expectation]:
    """Return the expectations of several files; of a clause in more than one, the last that the release fits counts.

    CommandError.
    """
    found: dict[str, Expectation] = {}
    for path in paths:
        for id, expectation in read(path, clauses).items():
            found[id] = replace(expectation, otherwise=found.get(id))
    return found


def signs(path: Path) -> dict[str, str]:
    """Return by what the platform of a valid file is recognised: texts of its description, by name."""
    found: dict[str, str] = tomllib.loads(input_file.read(path).decode()).get("recognised", {})
    return found


def recognised(path: Path, platform: Mapping[str, str]) -> bool:
    """Return whether the file of expectations is about such a platform, by its description (platform/describe.py)."""
    found = signs(path)
    return bool(found) and all(text in platform.get(name, "") for name, text in found.items())


def compare(
    result: SuiteResult, expected: Mapping[str, Expectation], *, strict: bool = False, kernel: str = ""
) -> Comparison:
    """Compare *result* with the expectations of a platform with *kernel* in its description.

    With *strict*, absent and untested clauses are unexpected, too.
    """
    done = Comparison()
    bad = EXPECTABLE if strict else ("deviates",)
    for found in result.results:
        verdict = found.verdict.verdict
        expectation = entry.on(kernel) if (entry := expected.get(found.id)) is not None else None
        if expectation is not None and expectation.verdict == verdict:
            done.as_expected[found.id] = expectation
        elif verdict in bad:
            done.unexpected.append(found)
        elif expectation is not None and not expectation.sometimes and verdict in ("holds", "disputed"):
            done.unexpectedly_holding[found.id] = expectation
    return done
