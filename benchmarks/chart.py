"""A chart of a series: its costs by size, ours and the peer's, on logarithmic axes."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

import pygal
from pygal.style import Style

from .results import Results
from .row import low
from .series import Series

__all__ = ["draw"]

_STYLE = Style(
    background="white",
    plot_background="white",
    colors=("#1f5fa8", "#b8532b"),
    font_family="sans-serif",
    title_font_size=14,
    guide_stroke_color="#ddd",
    major_guide_stroke_color="#bbb",
)


def draw(series: Series, results: Results) -> str | None:
    """Return an SVG picture of *series*, or None if *results* has fewer than two of its sizes."""
    measured = {size: results[row.name] for size, row in series.rows().items() if row.name in results}
    if len(measured) < 2:
        return None
    chart = pygal.XY(
        title=f"{series.title} N {series.axis}",
        x_title=f"N {series.axis}",
        y_title=series.unit.name,
        logarithmic=True,
        style=_STYLE,
        js=(),
        disable_xml_declaration=True,
        width=640,
        height=360,
        legend_at_bottom=True,
        margin_right=40,
        no_prefix=True,
    )
    place = _places(list(measured))
    chart.x_labels = [{"label": f"{size:,}", "value": at} for size, at in place.items()]
    for way, title in (("ours", "pytest-ipc"), ("peer", series.peer)):
        points = [
            (place[size], low(ways[way], series.clock) * series.unit.scale)
            for size, ways in measured.items()
            if way in ways
        ]
        if points:
            chart.add(title, points)
    chart.add_xml_filter(_static)
    svg: str = chart.render(is_unicode=True)
    return svg


def _static(root: Element) -> Element:
    """Remove what a picture in a page does not need: the script of tooltips, and the comments."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.endswith("script"):
                parent.remove(child)
    return root


def _places(sizes: list[int]) -> dict[int, float]:
    """Return where each size stands on the axis: at its logarithm; a size of 0 left of the others."""
    least = math.log10(min(filter(None, sizes)))
    return {size: math.log10(size) if size else least - 1 for size in sizes}
