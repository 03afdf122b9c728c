"""Benchmarks as one HTML page that contains everything it needs, fetches nothing and runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from . import units
from .bench_charts import chart, limits
from .bench_report import BenchReport
from .bench_terminal import NOTES, QUANTITIES, TITLES, floor_sentence, missing_sentences
from .figures import Figure, Quantity
from .textbook import SENTENCE, judge, sentences

__all__ = ["render"]


@dataclass(frozen=True)
class _Table:
    """The figures of a quantity: for each mechanism and size, a cell for each platform."""

    quantity: Quantity
    title: str
    charts: list[Markup]
    rows: list[tuple[str, str, list[Figure | None]]]


def render(reports: Sequence[BenchReport], link: str | None = None) -> str:
    """Return the page as HTML. *link* is the address of the page of the verdicts."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("pytest_ipc.verdict.bench", "template"),
                jinja2.PackageLoader("pytest_ipc.verdict.reports", "template"),  # the style of the other page
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("bench.html").render(
        reports=reports,
        tables=[table for quantity in QUANTITIES if (table := _table(reports, quantity)).rows],
        latest=max(report.date for report in reports),
        suites=sorted({report.suite for report in reports}),
        sentence=SENTENCE,
        sentences={report.name: sentences(judge(report.figures)) for report in reports},
        missing={report.name: missing_sentences(report) for report in reports},
        floors={report.name: floor_sentence(report) for report in reports},
        notes=NOTES,
        link=link,
        units=units,
    )


def _table(reports: Sequence[BenchReport], quantity: Quantity) -> _Table:
    keys = dict.fromkeys((f.mechanism, f.size) for report in reports for f in report.figures if f.quantity == quantity)
    rows = []
    for id, size in keys:
        cells = [
            next((f for f in report.figures if (f.quantity, f.mechanism, f.size) == (quantity, id, size)), None)
            for report in reports
        ]
        rows.append((TITLES.get(id, id), units.size(size) if size else "", cells))
    charts: list[Markup] = []
    scale = None if quantity == "duration" else limits(reports, quantity)
    if scale is not None:
        # pygal escapes the names of platforms; what it returns is markup.
        drawn = [chart(report, quantity, scale, number) for number, report in enumerate(reports)]
        charts = [Markup(one) for one in drawn if one]
    return _Table(quantity, QUANTITIES[quantity], charts, rows)
