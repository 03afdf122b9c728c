"""A comparison as one HTML page that contains everything it needs and fetches nothing.

A page of fifty platforms and thousands of clauses mostly repeats the same few words. So the file has one table of data
with each text once, and the browser has rows only where they are visible. Totals, history and the descriptions of the
platforms need no script.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlencode

import jinja2

from ..._version import __version__
from ..command_error import CommandError
from ..result import VERDICTS, Verdict
from ..suite import clauses, location
from .changes import Step, step
from .flag_names import named
from .matrix import Group, Matrix, Row

__all__ = ["render"]

MEANING = {
    "holds": "behaves as documented",
    "deviates": "does not; expected and observed behaviour are shown",
    "disputed": "manual and Linux are known to disagree, and the platform behaves as Linux does",
    "absent": "the platform does not have the call or the file of /proc",
    "untested": "could not be tried, with the reason",
    "broken": "the suite failed, not the platform",
}

# The test of a clause, as released.
_SOURCE = "https://github.com/pytest-ipc/pytest-ipc/blob/v{version}/conformance/"


@dataclass(frozen=True)
class _Total:
    """The clauses of a mechanism on a platform: how many deviate, of how many that were judged; in words, if none."""

    deviating: int
    judged: int
    words: str
    href: str


def render(matrix: Matrix, link: str | None = None) -> str:
    """Return the page as HTML. *link* is the address of the page of a benchmark."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_ipc.verdict.reports", "template"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["filtered"] = _filtered
    counts = [matrix.counts(column) for column in range(len(matrix.labels))]
    shown = [verdict for verdict in VERDICTS if verdict != "broken" or any(found["broken"] for found in counts)]
    order = _order(matrix, counts)
    return environment.get_template("page.html").render(
        matrix=matrix,
        order=order,
        counts=counts,
        totals=[(group.mechanism, _totals(matrix, group)) for group in sorted(matrix.groups, key=_name)],
        history={label: _history(matrix, label) for label in matrix.earlier},
        verdicts=shown,
        meaning=MEANING,
        total=sum(len(group.rows) for group in matrix.groups),
        latest=max(report.date for report in matrix.reports),
        suites=sorted({report.suite for report in matrix.reports}),
        data=_data(matrix, order),
        link=link,
    )


def _name(group: Group) -> str:
    return group.mechanism


def _order(matrix: Matrix, counts: list[Counter[str]]) -> list[int]:
    """Return the columns: those with most deviations first; dates stay in order."""
    columns = range(len(matrix.labels))
    return list(columns) if matrix.over_time else sorted(columns, key=lambda column: -counts[column]["deviates"])


def _filtered(**filters: str) -> str:
    """Return the address of the page with these filters."""
    return "#" + urlencode(filters, quote_via=quote)


def _totals(matrix: Matrix, group: Group) -> list[_Total]:
    found = []
    for column, label in enumerate(matrix.labels):
        count = Counter(verdict.verdict for row in group.rows if (verdict := row.verdicts[column]) is not None)
        judged = count["holds"] + count["disputed"] + count["deviates"]
        words = "" if judged else max(count, key=lambda word: count[word], default="not judged")
        shown = "deviates" if count["deviates"] else "all"
        href = _filtered(mechanism=group.mechanism, platform=label, verdict=shown)
        found.append(_Total(count["deviates"], judged, words, href))
    return found


def _history(matrix: Matrix, label: str) -> list[Step]:
    latest = matrix.reports[matrix.labels.index(label)]
    return [step(before, after) for before, after in pairwise([*matrix.earlier[label], latest])]


def _data(matrix: Matrix, order: list[int]) -> dict[str, Any]:
    texts: dict[str, int] = {"": 0}
    sources = _sources()
    rows = []
    for group in matrix.groups:
        for row in group.rows:
            clause = row.clause
            facts = [clause.id, clause.mechanism, clause.page, clause.section, clause.statement]
            flaky = [column for column, label in enumerate(matrix.labels) if clause.id in matrix.flaky.get(label, ())]
            rows.append([*facts, _codes(row), _details(matrix, row, texts), sources.get(clause.id, ""), flaky])
    return {
        "labels": matrix.labels,
        "order": order,
        "verdicts": VERDICTS,
        "source": _SOURCE.format(version=__version__),
        "history": {matrix.labels.index(label): _changes(matrix, label) for label in matrix.earlier},
        "texts": list(texts),
        "rows": rows,
    }


def _sources() -> dict[str, str]:
    """Return the file and line of the test of each clause of this suite."""
    try:
        every = clauses(location())
    except CommandError:  # this installation has no suite
        return {}
    return {clause.id: f"{clause.path.parent.name}/{clause.path.name}#L{clause.line}" for clause in every}


def _codes(row: Row) -> str:
    """Return a character for each platform: the number of its verdict, or a hyphen without one."""
    return "".join(map(_code, row.verdicts))


def _code(found: Verdict | None) -> str:
    return "-" if found is None else str(VERDICTS.index(found.verdict))


def _changes(matrix: Matrix, label: str) -> list[list[Any]]:
    """Return the dates of the reports of a platform, each with the clauses whose verdict changed: id, code."""
    first = matrix.earlier[label][0]
    found: list[list[Any]] = [[first.date, {id: _code(verdict) for id, verdict in first.verdicts.items()}]]
    steps = _history(matrix, label)
    changed = {change.id for step in steps for change in step.changes}
    found[0][1] = {id: code for id, code in found[0][1].items() if id in changed}
    return found + [[step.after.date, {c.id: _code(c.after) for c in step.changes}] for step in steps]


def _details(matrix: Matrix, row: Row, texts: dict[str, int]) -> dict[int, list[int]]:
    """Return, by platform, the numbers of the texts beyond the verdict: reason, expected, observed, evidence, …"""

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    details = {}
    for column, (found, report) in enumerate(zip(row.verdicts, matrix.reports, strict=True)):
        known = report.known.get(row.clause.id, "")
        if found is not None and (found.reason or known):
            evidence = "\n".join(map(named, found.evidence))
            details[column] = [number(text) for text in (*_words(row, found), known, evidence)]
    return details


def _words(row: Row, found: Verdict) -> tuple[str, str, str]:
    if not found.expected:
        return found.reason, "", ""
    # The reason of a deviation repeats these two, and the expectation may be the clause itself.
    return "", "" if found.expected == row.clause.statement else found.expected, found.observed
