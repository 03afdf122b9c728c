"""A comparison as one HTML page that contains everything it needs and fetches nothing.

A page of fifty platforms and thousands of clauses mostly repeats the same few words. So the file has one table of data
with each text once, and the browser creates rows when they become visible. The summary needs no script.
"""

from __future__ import annotations

from typing import Any

import jinja2

from ..result import VERDICTS, Verdict
from .matrix import Matrix, Row

__all__ = ["render"]

MEANING = {
    "holds": "behaves as documented",
    "deviates": "does not; expected and observed behaviour are shown",
    "disputed": "manual and Linux are known to disagree, and the platform behaves as Linux does",
    "absent": "the platform does not have the call or the file of /proc",
    "untested": "could not be tried, with the reason",
    "broken": "the suite failed, not the platform",
}


def render(matrix: Matrix) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_ipc.verdict.reports", "template"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = [matrix.counts(column) for column in range(len(matrix.labels))]
    shown = [verdict for verdict in VERDICTS if verdict != "broken" or any(found["broken"] for found in counts)]
    return environment.get_template("page.html").render(
        matrix=matrix,
        counts=counts,
        verdicts=shown,
        meaning=MEANING,
        total=sum(len(group.rows) for group in matrix.groups),
        latest=max(report.date for report in matrix.reports),
        suites=sorted({report.suite for report in matrix.reports}),
        data=_data(matrix),
    )


def _data(matrix: Matrix) -> dict[str, Any]:
    texts: dict[str, int] = {"": 0}
    rows = []
    for group in matrix.groups:
        for row in group.rows:
            clause = row.clause
            facts = [clause.id, clause.mechanism, clause.page, clause.section, clause.statement]
            rows.append([*facts, _codes(row), _details(matrix, row, texts)])
    return {"labels": matrix.labels, "verdicts": VERDICTS, "texts": list(texts), "rows": rows}


def _codes(row: Row) -> str:
    """Return a character for each platform: the number of its verdict, or a hyphen without one."""
    return "".join("-" if found is None else str(VERDICTS.index(found.verdict)) for found in row.verdicts)


def _details(matrix: Matrix, row: Row, texts: dict[str, int]) -> dict[int, list[int]]:
    """Return, by platform, the numbers of the texts beyond the verdict: reason, expected, observed, evidence, …"""

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    details = {}
    for column, (found, report) in enumerate(zip(row.verdicts, matrix.reports, strict=True)):
        known = report.known.get(row.clause.id, "")
        if found is not None and (found.reason or known):
            details[column] = [number(text) for text in (*_words(row, found), known, "\n".join(found.evidence))]
    return details


def _words(row: Row, found: Verdict) -> tuple[str, str, str]:
    if not found.expected:
        return found.reason, "", ""
    # The reason of a deviation repeats these two, and the expectation may be the clause itself.
    return "", "" if found.expected == row.clause.statement else found.expected, found.observed
