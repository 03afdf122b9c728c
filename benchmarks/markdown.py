"""The table of results, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .results import Results
from .rounds import Figures, Spread
from .row import Row, low, ratio
from .series import growth as growth_of
from .table import SERIES, find

__all__ = ["GROWTH", "HEAD", "changes", "growth", "machine", "plain", "rows", "table"]

HEAD = ("operation", "ours", "peer", "C", "ours/peer", "by the clock", "ours/C", "goal", "met", "peer is")


GROWTH = ("operation", "cost (size)", "largest/least", "of the peer", "growth")


def machine(metadata: Mapping[str, str | int | float]) -> str:
    """Return one paragraph: what was measured, when, on what."""
    return (
        f"Commit {metadata.get('commit', 'unknown')}, measured {str(metadata.get('date', ''))[:16]} UTC: "
        f"{metadata.get('cpu_model_name', 'unknown CPU')}, {metadata.get('cpu_count', '?')} CPUs, "
        f"{metadata.get('platform', '')}, Python {metadata.get('python_version', '')}; load "
        f"{float(metadata.get('load_avg_1min', 0)):.1f} at the start."
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, or nothing without lines."""
    if not lines:
        return ""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"


def rows(results: Results) -> list[tuple[str, ...]]:
    """Return the cells of each row of *results*: medians, with the low percentiles in parentheses."""
    in_series = {row.name for series in SERIES.values() if growth_of(series, results) for row in series.rows().values()}
    return [_cells(find(name), ways) for name, ways in results.items() if name not in in_series]


def changes(results: Results, revision: str) -> list[tuple[str, ...]]:
    """Return the cells of a comparison with *revision*, which is the peer.

    A difference is clear if the interval of the median ratio excludes 1.
    """
    lines: list[tuple[str, ...]] = [("operation", "here", revision, "by the clock", "CPU time", "")]
    for name, ways in results.items():
        row = find(name)
        spread = ratio(ways["ours"], ways["peer"], row.clock)
        verdict = "faster" if spread.most < 1 else "slower" if spread.least > 1 else "no clear difference"
        lines.append(
            (
                row.title,
                *(_figure(row, ways[way]) for way in ("ours", "peer")),
                *(_ratio(ways, "peer", clock) for clock in ("wall", "cpu")),
                verdict,
            )
        )
    return lines


def growth(results: Results) -> list[tuple[str, ...]]:
    """Return the cells of each series of *results*: its low percentiles, and how they grow."""
    lines: list[tuple[str, ...]] = []
    for series in SERIES.values():
        if (ours := growth_of(series, results)) is None:
            continue
        peer = growth_of(series, results, "peer")
        costs = ", ".join(f"{_digits(cost * series.unit.scale)} ({size:,})" for size, cost in ours.costs.items())
        lines.append(
            (
                f"{series.title} … {series.axis}",
                f"{costs} {series.unit.name}",
                f"{ours.factor:.2f}",
                "" if peer is None else f"{peer.factor:.2f}, {series.peer}",
                ours.verdict if ours.verdict != "worse than linear" else f"**{ours.verdict}**",
            )
        )
    return lines


def _cells(row: Row, ways: Mapping[str, Figures]) -> tuple[str, ...]:
    met = row.met(ways)
    return (
        row.title,
        *(_figure(row, ways.get(name)) for name in ("ours", "peer", "floor")),
        _ratio(ways, "peer", row.clock),
        _ratio(ways, "peer", "wall") if row.clock == "cpu" else "",
        _ratio(ways, "floor", row.clock),
        "" if row.goal is None else f"{row.goal}{'' if row.goal.kind == 'ratio' else f' {row.unit.name}'}".rstrip(),
        {None: "", True: "yes", False: "**no**"}[met] + _reached(row, ways, met is not None and not row.clear(ways)),
        row.peer,
    )


def _figure(row: Row, figures: Figures | None) -> str:
    if figures is None:
        return ""
    median = Spread.of(figures.clock(row.clock)).median * row.unit.scale
    return f"{_digits(median)} {row.unit.name}".rstrip() + f" ({_digits(low(figures, row.clock) * row.unit.scale)})"


def _ratio(ways: Mapping[str, Figures], other: str, clock: str) -> str:
    if other not in ways or not any(ways["ours"].clock(clock)):  # the CPU time of other processes is not known
        return ""
    spread = ratio(ways["ours"], ways[other], clock)
    digits = 3 if abs(spread.median - 1) < 0.2 else 2
    return f"{spread.median:.{digits}f} ({spread.lower:.{digits}f} to {spread.upper:.{digits}f})"


def _reached(row: Row, ways: Mapping[str, Figures], unclear: bool) -> str:
    notes = ["not clear"] if unclear else []
    reached = row.reached(ways)
    if reached is not None and row.goal is not None and row.goal.kind == "difference":
        notes.insert(0, f"{reached.median:+.1f}")
    return f" ({', '.join(notes)})" if notes else ""


def _digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    if rounded >= 10:
        return f"{rounded:.{int(rounded < 100)}f}"
    return f"{rounded:.2f}".rstrip("0").rstrip(".")


def plain(lines: Sequence[Sequence[str]]) -> str:
    """Return *lines* with aligned columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
