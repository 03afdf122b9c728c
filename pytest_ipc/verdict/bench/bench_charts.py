"""The charts of a benchmark as SVG, drawn by pygal: a line for each mechanism over the sizes of the message."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import ceil, floor, log10
from xml.etree import ElementTree

import pygal
from pygal.style import Style

from . import units
from .bench_report import BenchReport
from .bench_terminal import TITLES
from .figures import Figure, Quantity
from .mechanisms import MECHANISMS

__all__ = ["chart", "limits"]

# pygal leaves a finder of modules, for maps, in the form that Python 3.12 has dropped; 3.11 warns of it at each import.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]

_AXES: dict[Quantity, str] = {"latency": "round trip", "bandwidth": "bandwidth", "duration": "time"}

# Distinct on a white and on a black background; a mechanism has one colour on every platform.
_COLOURS = dict(
    zip(
        (mechanism.id for mechanism in MECHANISMS),
        """
        #d62728 #ff7f0e #b8860b #1f77b4 #17a2b8 #2ca02c #3cb371 #808000 #9467bd #e377c2 #8c6d5c #7f7f7f #5b6cff
        """.split(),
        strict=True,
    )
)

_OTHER = "#7f7f7f"  # a mechanism of a later version


def limits(reports: Sequence[BenchReport], quantity: Quantity) -> tuple[float, float] | None:
    """Return the lowest and the highest figure of *quantity*, for charts with one scale; None without a figure."""
    medians = [figure.median for report in reports for figure in _shown(report, quantity)]
    return (min(medians), max(medians)) if medians else None


def _shown(report: BenchReport, quantity: Quantity) -> list[Figure]:
    """Return the figures of a chart: noise would draw what is not there."""
    return [figure for figure in report.figures if figure.quantity == quantity and not figure.is_noise]


def chart(report: BenchReport, quantity: Quantity, scale: tuple[float, float], number: int) -> str:
    """Return the chart of one platform as an SVG element, the *number*-th of its page; noise is left out.

    A platform that has only noise has no chart: an empty string.
    """
    figures = _shown(report, quantity)
    if not figures:
        return ""
    sizes = sorted({figure.size for figure in figures})
    shown = [*dict.fromkeys(figure.mechanism for figure in figures)]
    text = units.bandwidth if quantity == "bandwidth" else units.duration
    found = pygal.Line(
        width=760,
        height=460,
        # Logarithms on a linear axis: on pygal's logarithmic one, a missing value does not interrupt a line.
        range=(log10(scale[0]) - 0.1, log10(scale[1]) + 0.1),
        show_minor_y_labels=False,
        y_labels=[{"label": text(decade), "value": log10(decade)} for decade in _decades(scale)],
        y_labels_major_every=1,
        value_formatter=lambda value: text(10**value),
        x_title="size of the message",
        title=f"{report.name}: {_AXES[quantity]}",
        legend_at_bottom=False,
        truncate_legend=-1,
        dots_size=3,
        stroke_style={"width": 2},
        js=[],  # the page fetches nothing and runs no script
        disable_xml_declaration=True,
        style=_style(shown),
    )
    found.add_xml_filter(_without_scripts)
    found.uuid = f"{quantity}-{number}"
    found.x_labels = [units.size(size) for size in sizes]
    for id in shown:
        row = {figure.size: log10(figure.median) for figure in figures if figure.mechanism == id}
        found.add(TITLES.get(id, id), [row.get(size) for size in sizes], allow_interruptions=True)
    drawn = found.render()
    return drawn.decode() if isinstance(drawn, bytes) else str(drawn)


def _without_scripts(root: ElementTree.Element) -> ElementTree.Element:
    """Return the chart without its settings for pygal's own script, which the page does not contain."""
    for parent in [*root.iter()]:
        for child in [child for child in parent if str(child.tag).rpartition("}")[2] == "script"]:
            parent.remove(child)
    return root


def _decades(scale: tuple[float, float]) -> list[float]:
    """Return the powers of ten within *scale*, and those beside it."""
    return [10.0**power for power in range(floor(log10(scale[0])), ceil(log10(scale[1])) + 1)]


def _style(mechanisms: Sequence[str]) -> Style:
    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="currentColor",
        foreground_strong="currentColor",
        foreground_subtle="#80808080",
        colors=[_COLOURS.get(id, _OTHER) for id in mechanisms],
        font_family="system-ui, sans-serif",
        label_font_size=12,
        major_label_font_size=12,
        legend_font_size=13,
        title_font_size=15,
    )
