"""A comparison as one HTML page that contains everything it needs and fetches nothing.

What a page of fifty platforms and thousands of clauses holds is mostly the same few words. So the file has one table of
data, each text in it once, and the browser makes the rows as the reader comes to them. The summary stands there without
a script.
"""

from __future__ import annotations

from typing import Any

import jinja2

from ..result import VERDICTS, Verdict
from .matrix import Matrix, Row

__all__ = ["render"]

MEANING = {
    "holds": "it is as the manual says",
    "deviates": "it is not; what was expected and what came is told",
    "disputed": "manual and Linux are known to disagree, and the platform sides with Linux",
    "absent": "the platform has no such call, or no such file of /proc",
    "untested": "it could not be tried there, and why",
    "broken": "the suite failed, not the platform",
}


def render(matrix: Matrix) -> str:
    """The page, as HTML."""
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
    """A sign a platform: the number of its verdict, or a hyphen where there is none."""
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
    # Of a deviation the reason is these two in one sentence, and what is expected may be the clause itself.
    return "", "" if found.expected == row.clause.statement else found.expected, found.observed
