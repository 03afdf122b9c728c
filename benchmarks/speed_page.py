"""The page of results, docs/reference/speed.md, and its charts in the directory beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from . import markdown
from .chart import draw
from .reasons import REASONS
from .results import Results
from .table import SERIES, find

__all__ = ["write"]

_ROWS = """# Speed

Each operation beside the same one of another library, and beside the same in C. `tox -e bench` measures, in rounds in
which the ways alternate; a figure is a median, with the low percentile in parentheses, and a ratio is the median of the
ratios of all rounds, with its quartiles. Figures are CPU time, with that of children, as the time by the clock includes
what other processes take; after SIGKILL and of the suite they are by the clock. A goal is met if the ratio of CPU time
is, and that by the clock is not clearly more; it is not clear if the interval of the median (99 %) contains the goal.

{machine}

{rows}"""

_MISSED = """
## Missed goals

Why a goal is missed, from the profile of the row:

{reasons}
"""

_GROWTH = """
## Growth

What an operation costs beside many of them: the low percentile of CPU time, or by the clock for what a reaper does.
The largest size is compared with the least cost of a smaller one: up to 1.5 times is flat.

{growth}
{charts}
"""


def write(path: Path, results: Results, metadata: Mapping[str, str | int | float]) -> None:
    """Write the page to *path*, and its charts."""
    text = _ROWS.format(
        machine=textwrap.fill(markdown.machine(metadata), 120),
        rows=markdown.table(markdown.HEAD, markdown.rows(results)),
    )
    missed = [name for name, ways in results.items() if find(name).met(ways) is False and name in REASONS]
    if missed:
        lines = [f"- **{find(name).title}**: {REASONS[name].strip()}" for name in missed]
        text += _MISSED.format(
            reasons="\n".join(
                textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False) for line in lines
            )
        )
    if growth := markdown.growth(results):
        charts = []
        folder = path.with_suffix("")
        for series in SERIES.values():
            if svg := draw(series, results):
                folder.mkdir(exist_ok=True)
                (folder / f"{series.name}.svg").write_text(svg)
                charts.append(f"![{series.title} N {series.axis}]({folder.name}/{series.name}.svg)")
        text += _GROWTH.format(growth=markdown.table(markdown.GROWTH, growth), charts="\n".join(charts))
    path.write_text(text)
