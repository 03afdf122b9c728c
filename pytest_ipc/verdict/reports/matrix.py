"""Reports side by side: clauses by platforms, grouped by mechanism, deviations first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..command_error import CommandError
from ..result import VERDICTS, Verdict
from .reader import Clause, Report

__all__ = ["Group", "Matrix", "Row", "by_platform", "over_time"]

# The parts of a description that change without a change of the platform: namespaces have other ids after each boot.
INCIDENTAL = {"namespaces"}

# The verdicts that say how the platform behaves; absent and untested clauses were not tried.
_JUDGED = ("holds", "disputed", "deviates")


@dataclass(frozen=True)
class Row:
    """A clause and its verdict on each platform; None if a report does not judge it."""

    clause: Clause
    verdicts: tuple[Verdict | None, ...]

    @property
    def words(self) -> Counter[str]:
        """Return the number of platforms with each verdict."""
        return Counter(found.verdict for found in self.verdicts if found is not None)

    @property
    def is_news(self) -> bool:
        """Return whether the clause does anything but hold wherever it was judged."""
        return any(found is not None and found.verdict != "holds" for found in self.verdicts)


@dataclass(frozen=True)
class Group:
    """The rows of a mechanism, the worst first."""

    mechanism: str
    rows: list[Row]


@dataclass(frozen=True)
class Matrix:
    """The groups, the worst first, and the reports with their labels.

    `earlier` are the older reports of a platform by its label, the oldest first; `flaky` the clauses that were judged
    differently on it while it was the same. `over_time` is whether the labels are dates of one platform.
    """

    labels: list[str]
    reports: Sequence[Report]
    groups: list[Group]
    earlier: Mapping[str, list[Report]] = field(default_factory=dict)
    flaky: Mapping[str, frozenset[str]] = field(default_factory=dict)
    over_time: bool = False

    def counts(self, column: int) -> Counter[str]:
        """Return the number of clauses with each verdict in the report of *column*."""
        return Counter(found.verdict for found in self.reports[column].verdicts.values())


def by_platform(reports: Sequence[Report], clauses: Mapping[str, Clause], *, history: bool = False) -> Matrix:
    """Compare platforms, in the order given.

    With *history*, several reports of one name are one platform over time: the latest is compared, the others are
    `earlier`. CommandError for two reports of one name without it.
    """
    if history:
        return _with_history(reports, clauses)
    owners: dict[str, Report] = {}
    for report in reports:
        other = owners.setdefault(report.name, report)
        if other is not report:
            raise CommandError(
                f"{other.path} and {report.path} both have the name {report.name!r}: "
                "rename one (check --name), or show the changes between them (compare --changes), "
                "or the latest with the others as its history (compare --history)"
            )
    return _matrix([report.name for report in reports], reports, clauses)


def _with_history(reports: Sequence[Report], clauses: Mapping[str, Clause]) -> Matrix:
    named: dict[str, list[Report]] = {}
    for report in reports:
        named.setdefault(report.name, []).append(report)
    for those in named.values():
        those.sort(key=lambda report: report.date)
    matrix = _matrix(list(named), [those[-1] for those in named.values()], clauses)
    earlier = {name: those[:-1] for name, those in named.items() if len(those) > 1}
    flaky = {name: _flaky(those) for name, those in named.items()}
    return replace(matrix, earlier=earlier, flaky=flaky)


def _flaky(reports: Sequence[Report]) -> frozenset[str]:
    """Return the clauses that several *reports* judge differently where suite and platform are the same."""
    heard: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    found = set()
    for report in reports:
        facts = sorted(f"{name}: {text}" for name, text in report.platform.items() if name not in INCIDENTAL)
        verdicts = heard[(report.suite, *facts)]
        for id, verdict in report.verdicts.items():
            if verdict.verdict in _JUDGED and verdicts.setdefault(id, verdict.verdict) != verdict.verdict:
                found.add(id)
    return frozenset(found)


def over_time(reports: Sequence[Report], clauses: Mapping[str, Clause]) -> Matrix:
    """Compare one platform's reports, the oldest first. CommandError if there is only one."""
    if len(reports) < 2:
        raise CommandError(f"--changes needs two reports of a platform, not only {reports[0].path}")
    ordered = sorted(reports, key=lambda report: report.date)
    is_one = len({report.name for report in ordered}) == 1
    labels = [report.date if is_one else f"{report.name}, {report.date}" for report in ordered]
    matrix = _matrix(labels, ordered, clauses)
    flaky = _flaky(ordered) if is_one else frozenset()
    return replace(matrix, flaky=dict.fromkeys(labels, flaky), over_time=True)


def _matrix(labels: list[str], reports: Sequence[Report], clauses: Mapping[str, Clause]) -> Matrix:
    groups: dict[str, list[tuple[tuple[int, int, str], Row]]] = defaultdict(list)
    for clause in clauses.values():
        row = Row(clause, tuple(report.verdicts.get(clause.id) for report in reports))
        groups[clause.mechanism].append((_rank(row), row))
    ordered = []
    for mechanism, ranked in groups.items():
        ranked.sort(key=lambda entry: entry[0])
        worst = min(ranked[0][0][0], VERDICTS.index("disputed"))  # groups of less are ordered by name
        ordered.append((worst, mechanism, [row for _, row in ranked]))
    ordered.sort(key=lambda entry: entry[:2])
    return Matrix(labels, reports, [Group(mechanism, rows) for _, mechanism, rows in ordered])


def _rank(row: Row) -> tuple[int, int, str]:
    """Return the sort key of a row: the worst verdict first, then the most frequent."""
    words = row.words
    worst = min(map(VERDICTS.index, words), default=len(VERDICTS))
    return worst, -words[VERDICTS[worst]] if words else 0, row.clause.id
