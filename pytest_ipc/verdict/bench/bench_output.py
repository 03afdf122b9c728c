"""What a benchmark leaves: tables on the terminal, a page, reports as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..command_error import writing
from ..reports import atomic
from .bench_report import BenchReport, as_json, distinct
from .bench_terminal import show_one, show_side_by_side

__all__ = ["show", "write"]


def show(console: Console, reports: Sequence[BenchReport], page: Path | None, link: Path | None) -> None:
    """Show *reports* on the terminal, and write the *page* with a *link* to another one, if given. CommandError."""
    reports = distinct(reports)
    if len(reports) == 1:
        show_one(console, reports[0])
    else:
        show_side_by_side(console, reports)
    if page is not None:
        from .bench_page import render  # needs two more packages

        with writing("the page", page, status=3):
            atomic.write(page, render(reports, None if link is None else atomic.address(link, page)))


def write(path: Path, report: BenchReport) -> None:
    """Write *report* to *path* as JSON. CommandError."""
    with writing("the report", path, status=3):
        atomic.write(path, json.dumps(as_json(report), indent=1) + "\n")
