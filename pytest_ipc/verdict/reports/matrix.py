"""Reports side by side: clauses by platforms, grouped by mechanism, deviations first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..command_error import CommandError
from ..result import VERDICTS, Verdict
from .reader import Clause, Report

__all__ = ["Group", "Matrix", "Row", "by_platform", "over_time"]


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
    """The groups, the worst first, and the reports with their labels."""

    labels: list[str]
    reports: Sequence[Report]
    groups: list[Group]

    def counts(self, column: int) -> Counter[str]:
        """Return the number of clauses with each verdict in the report of *column*."""
        return Counter(found.verdict for found in self.reports[column].verdicts.values())


def by_platform(reports: Sequence[Report], clauses: Mapping[str, Clause]) -> Matrix:
    """Compare platforms, in the order given. CommandError for two reports of one name."""
    owners: dict[str, Report] = {}
    for report in reports:
        other = owners.setdefault(report.name, report)
        if other is not report:
            raise CommandError(
                f"{other.path} and {report.path} both have the name {report.name!r}: "
                "rename one (check --name), or show the changes between them (compare --changes)"
            )
    return _matrix([report.name for report in reports], reports, clauses)


def over_time(reports: Sequence[Report], clauses: Mapping[str, Clause]) -> Matrix:
    """Compare one platform's reports, the oldest first. CommandError if there is only one."""
    if len(reports) < 2:
        raise CommandError(f"--changes needs two reports of a platform, not only {reports[0].path}")
    ordered = sorted(reports, key=lambda report: report.date)
    is_one = len({report.name for report in ordered}) == 1
    labels = [report.date if is_one else f"{report.name}, {report.date}" for report in ordered]
    return _matrix(labels, ordered, clauses)


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
