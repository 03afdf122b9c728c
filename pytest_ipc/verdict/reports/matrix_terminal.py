"""A comparison on a terminal: a table if the platforms fit side by side, else a line for each verdict of a clause."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...printable import counted
from ..result import VERDICTS, Verdict
from .changes import Change, Step
from .matrix import Group, Matrix, Row
from .terminal import STYLES

__all__ = ["show_changes", "show_matrix"]

_WIDEST = max(map(len, VERDICTS))
_NOT_JUDGED = "-"
_NAMED = 8  # platforms named in a line; the others are counted


def show_matrix(console: Console, matrix: Matrix, *, everything: bool = False) -> None:
    """Show the clauses that do not hold everywhere, or all with *everything*, by mechanism."""
    shown = [
        Group(group.mechanism, [row for row in group.rows if everything or row.is_news]) for group in matrix.groups
    ]
    rows = [row for group in shown for row in group.rows]
    total = sum(len(group.rows) for group in matrix.groups)
    if rows:
        width = max(len(row.clause.id) for row in rows) + 2
        fits = width + sum(max(len(label), _WIDEST) + 2 for label in matrix.labels) <= console.width
        (_show_table if fits else _show_lines)(console, matrix, shown)
        console.print()
    console.print(_totals(matrix))
    for label, report in zip(matrix.labels, matrix.reports, strict=True):
        for text in report.broken:
            console.print(Text.assemble(("broken", STYLES["broken"]), f" {label}: {text}"))
    hidden = f"; {total - len(rows)} hold wherever they were judged (--all shows them)" if total > len(rows) else ""
    console.print(Text(f"{counted(total, 'clause')}, {counted(len(matrix.labels), 'platform')}{hidden}.", style="bold"))


def _show_table(console: Console, matrix: Matrix, shown: list[Group]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("clause", no_wrap=True)
    for label in matrix.labels:
        table.add_column(Text(label), no_wrap=True)
    for group in shown:
        if group.rows:
            table.add_row(Text(group.mechanism, style="bold underline"))
        for row in group.rows:
            table.add_row(Text(row.clause.id), *map(_cell, row.verdicts))
    console.print(table)


def _show_lines(console: Console, matrix: Matrix, shown: list[Group]) -> None:
    for group in shown:
        if group.rows:
            console.print(Text(group.mechanism, style="bold underline"))
        for row in group.rows:
            console.print(Text(row.clause.id))
            for verdict in VERDICTS:
                if verdict in row.words:
                    console.print(
                        Text.assemble("  ", (verdict, STYLES[verdict]), f" on {_platforms(matrix, row, verdict)}")
                    )


def _platforms(matrix: Matrix, row: Row, verdict: str) -> str:
    those = [
        label for label, found in zip(matrix.labels, row.verdicts, strict=True) if found and found.verdict == verdict
    ]
    if len(those) == len(matrix.labels):
        return "all"
    more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
    return ", ".join(those[:_NAMED]) + more


def _cell(found: Verdict | None) -> Text:
    if found is None:
        return Text(_NOT_JUDGED, style="dim")
    return Text(found.verdict, style=STYLES[found.verdict])


def _totals(matrix: Matrix) -> Table:
    counts = [matrix.counts(column) for column in range(len(matrix.labels))]
    shown = [
        verdict for verdict in reversed(VERDICTS) if verdict != "broken" or any(found["broken"] for found in counts)
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("platform")
    for verdict in shown:
        table.add_column(verdict, justify="right", style=STYLES[verdict], no_wrap=True)
    for label, found in zip(matrix.labels, counts, strict=True):
        table.add_row(Text(label), *(str(found[verdict] or "") for verdict in shown))
    return table


def show_changes(console: Console, steps: Sequence[Step]) -> None:
    """Show the changes from each report to the next."""
    for step in steps:
        before, after = step.before, step.after
        name = before.name if before.name == after.name else f"{before.name}, then {after.name}"
        console.print(Text(f"{name}: {before.date} to {after.date}", style="bold"))
        for entry, (was, now) in step.platform.items():
            console.print(Text(f"  {entry}: {was}, now {now}"))
        for text in after.broken:
            console.print(Text.assemble(("  broken ", STYLES["broken"]), f" {text}"))
        for kind, style in (
            ("worse", "deviates"),
            ("better", "holds"),
            ("changed", "untested"),
            ("new", ""),
            ("gone", ""),
        ):
            for change in step.of_kind(kind):
                console.print(Text.assemble((f"  {kind:<7}", STYLES.get(style, "")), f" {_sentence(change)}"))
        if not step.changes:
            console.print(Text("  no verdict changed"))


def _sentence(change: Change) -> str:
    was, now = change.before, change.after
    if now is None:
        return f"{change.id}: not judged any more"
    reason = f": {now.reason}" if now.reason else ""
    if was is None:
        return f"{change.id}: {now.verdict}{reason}"
    return f"{change.id}: {was.verdict}, now {now.verdict}{reason}"
