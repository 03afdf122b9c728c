"""A history as a timeline: one line a worker, each call an interval with its number, and a list of the calls.

    A  [1-----]        [4-----]
    B     [2-----------------------...
    C           [3--------]

The order of all begin and end times is as recorded, but distances are even, so that a call of two microseconds is as
visible as one of two milliseconds. The list has the times.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from ..specification import Call
from .history import Fate, History, Operation

__all__ = ["svg", "text"]

_CLOSING = {Fate.RETURNED: "]", Fate.INTERRUPTED: "]", Fate.ENDED: "x", Fate.KILLED: "x"}


def _ranks(history: History) -> dict[int, int]:
    """Return the rank of each recorded time."""
    moments = {moment for op in history.operations for moment in (op.invoked, op.returned) if moment is not None}
    return {moment: rank for rank, moment in enumerate(sorted(moments))}


def _numbered(history: History) -> list[tuple[int, Operation]]:
    """Return the operations in the order of their begins, with their numbers in the history."""
    return sorted(enumerate(history.operations), key=lambda entry: entry[1].invoked)


def _death(history: History, operation: Operation) -> int | None:
    """Return the time when the process of a killed call was dead."""
    ends = [
        op.returned for op in history.operations if op.fate is Fate.ENDED and op.call.process == operation.call.process
    ]
    return ends[0] if ends else None


def text(history: History, words: Callable[[Call], str] = str, marked: int | None = None) -> list[str]:
    """Return the lines; the operation number *marked* has a star. *words* formats a call."""
    ranks, step = _ranks(history), 3 + len(str(len(history.operations))) // 2
    width = step * len(ranks) + 1
    label = max(map(len, history.workers), default=0)
    lines = {worker: [" "] * (width + 3) for worker in history.workers}
    table: list[tuple[str, ...]] = []
    start = min((op.invoked for op in history.operations), default=0)
    for number, (place, operation) in enumerate(_numbered(history), 1):
        line = lines[operation.worker]
        left = step * ranks[operation.invoked]
        end = _death(history, operation) if operation.fate is Fate.KILLED else operation.returned
        right = step * ranks[end] if end is not None else width
        line[left : right + 1] = "-" * (right + 1 - left)
        line[left] = "["
        line[left + 1 : left + 1 + len(str(number))] = str(number)
        if end is None:
            line[right : right + 3] = "..."
        else:
            line[right] = _CLOSING[operation.fate]
        end_text = f"{(end - start) / 1000:.1f}" if end is not None else ""
        table.append(
            (
                f"{'*' if place == marked else ''}{number}",
                operation.worker,
                _call(operation, words),
                operation.in_words() if operation.fate is not Fate.ENDED else "",
                f"{(operation.invoked - start) / 1000:.1f} to {end_text or '...'} µs",
            )
        )
    drawn = [f"{worker:<{label}}  {''.join(line).rstrip()}" for worker, line in lines.items()]
    columns = [max(map(len, column)) for column in zip(*table, strict=True)]
    listed = [
        "  ".join(
            f"{cell:>{size}}" if place in (0, 4) else f"{cell:<{size}}"
            for place, (cell, size) in enumerate(zip(row, columns, strict=True))
        )
        for row in table
    ]
    return [*drawn, *listed]


def _call(operation: Operation, words: Callable[[Call], str]) -> str:
    return f"{operation.call.process} is killed by SIGKILL" if operation.fate is Fate.ENDED else words(operation.call)


_LANE, _STEP, _MARGIN, _BAR = 46, 44, 60, 26


def svg(history: History, words: Callable[[Call], str] = str, marked: int | None = None) -> str:
    """Return the timeline as an SVG element without a style sheet; the operation number *marked* is red."""
    ranks, workers = _ranks(history), history.workers
    width, height = _MARGIN + _STEP * (len(ranks) + 1), _LANE * len(workers) + 8
    parts: list[str] = []
    for lane, worker in enumerate(workers):
        y = _LANE * lane + _LANE // 2
        parts.append(f'<text x="8" y="{y + 5}" font-weight="bold">{escape(worker)}</text>')
        parts.append(
            f'<line x1="{_MARGIN}" y1="{y}" x2="{width - 8}" y2="{y}" stroke="currentColor" stroke-opacity=".25"/>'
        )
    legend: list[str] = []
    for number, (place, operation) in enumerate(_numbered(history), 1):
        y = _LANE * workers.index(operation.worker) + (_LANE - _BAR) // 2
        left = _MARGIN + _STEP * ranks[operation.invoked]
        end = _death(history, operation) if operation.fate is Fate.KILLED else operation.returned
        right = _MARGIN + _STEP * ranks[end] if end is not None else width - 8
        color = "#b3121d" if place == marked else "#0a53b8"
        dashed = "" if end is not None else ' stroke-dasharray="4 3"'
        line = f"{number}  {operation.worker}: {_call(operation, words)}"
        if operation.fate is not Fate.ENDED:
            line += f" {operation.in_words()}"
        parts.append(
            f"<g><title>{escape(line)}</title>"
            f'<rect x="{left}" y="{y}" width="{max(right - left, 6)}" height="{_BAR}" rx="3" '
            f'fill="{color}" fill-opacity=".15" stroke="{color}"{dashed}/>'
            f'<text x="{left + 5}" y="{y + 18}">{number}</text></g>'
        )
        weight = ' font-weight="bold"' if place == marked else ""
        legend.append(f'<text x="8" y="{height + 20 * number}"{weight}>{escape(line)}</text>')
    height += 20 * len(legend) + 12
    longest = max((len(escape(line)) for line in legend), default=0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {max(width, 7 * longest // 2)} {height}" '
        f'font-family="ui-monospace, monospace" font-size="14" fill="currentColor">'
        f"<title>Calls of {', '.join(map(escape, workers))} over time</title>{''.join(parts)}{''.join(legend)}</svg>"
    )
