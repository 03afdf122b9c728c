"""A benchmark on a terminal: a table for each quantity, and the reasons for missing figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import units
from .bench_report import BenchReport
from .figures import Figure, Quantity
from .mechanisms import MECHANISMS
from .process_costs import COSTS
from .textbook import SENTENCE, judge, sentences

__all__ = [
    "NOTES",
    "QUANTITIES",
    "TITLES",
    "floor_sentence",
    "missing_sentences",
    "show_one",
    "show_side_by_side",
]

TITLES = {m.id: m.title for m in MECHANISMS} | {cost.id: cost.title for cost in COSTS}

QUANTITIES: dict[Quantity, str] = {
    "latency": "Round trip of a message: median ± spread of the repetitions, 99th percentile",
    "bandwidth": "Bandwidth in one direction: median ± spread of the repetitions",
    "duration": "Processes: median ± spread of the repetitions, 99th percentile",
}

_NOISE = "noise"
_CALLS = "*"
NOTES = (
    f"{_NOISE}: the repetitions differ by more than half of the median, so the figure means nothing. "
    f"{_CALLS}: the floor is half of the time or more, so the figure is that of Python and of entering the kernel."
)

_BUSY = "The machine was busy with other programs; `chrt -f 1 pytest-ipc bench` gives the benchmark priority."


def show_one(console: Console, report: BenchReport) -> None:
    """Show the figures of one platform."""
    _conditions(console, report)
    for quantity, title in QUANTITIES.items():
        those = [figure for figure in report.figures if figure.quantity == quantity]
        if those:
            console.print()
            console.print(Text(title, style="bold"))
            table = _durations(those) if quantity == "duration" else _by_size(those)
            if _width(table) > console.width:
                table = _by_row(those)
            console.print(table)
    console.print()
    console.print(Text(NOTES))
    _floor_and_missing(console, report)
    _sentence(console, report)
    if report.conditions.interrupted:
        console.print(Text("Interrupted: the figures so far.", style="bold"))


def show_side_by_side(console: Console, reports: Sequence[BenchReport]) -> None:
    """Show the figures of several platforms: a row for each mechanism and size, a column for each platform."""
    for report in reports:
        _conditions(console, report)
        console.print()
    for quantity, title in QUANTITIES.items():
        keys = dict.fromkeys((f.mechanism, f.size) for r in reports for f in r.figures if f.quantity == quantity)
        if not keys:
            continue
        console.print(Text(title.partition(",")[0], style="bold"))
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("mechanism", no_wrap=True)
        table.add_column("size", justify="right", no_wrap=True)
        for report in reports:
            table.add_column(Text(report.name), justify="right")
        last = ""
        for id, size in keys:
            found = [
                next((f for f in r.figures if (f.quantity, f.mechanism, f.size) == (quantity, id, size)), None)
                for r in reports
            ]
            cells = [Text("-", style="dim") if figure is None else _cell(figure, p99=False) for figure in found]
            table.add_row(TITLES.get(id, id) if id != last else "", units.size(size) if size else "", *cells)
            last = id
        console.print(table)
        console.print()
    console.print(Text(NOTES))
    for report in reports:
        console.print()
        console.print(Text(report.name, style="bold"))
        _floor_and_missing(console, report)
        _sentence(console, report)


def _conditions(console: Console, report: BenchReport) -> None:
    conditions = report.conditions
    parts = [report.platform.get(name, "") for name in ("kernel", "architecture", "container", "python")]
    console.print(Text.assemble((report.name, "bold"), f"  {'; '.join(filter(None, parts))}"))
    load = "" if conditions.load < 0 else f"; load average {conditions.load:.1f} at the start"
    console.print(Text(f"{conditions.pinning}; {conditions.cpus} CPUs{load}; {report.date}"))
    if conditions.load > conditions.cpus / 2:
        console.print(Text(_BUSY, style="yellow"))


def _by_size(figures: Sequence[Figure]) -> Table:
    sizes = sorted({figure.size for figure in figures})
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("mechanism", no_wrap=True)
    for size in sizes:
        table.add_column(units.size(size), justify="right", no_wrap=True)
    for id in dict.fromkeys(figure.mechanism for figure in figures):
        row = {figure.size: figure for figure in figures if figure.mechanism == id}
        cells = [_cell(row[size]) if size in row else Text("-", style="dim") for size in sizes]
        table.add_row(TITLES.get(id, id), *cells)
    return table


def _durations(figures: Sequence[Figure]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for figure in figures:
        table.add_row(TITLES.get(figure.mechanism, figure.mechanism), _cell(figure))
    return table


def _by_row(figures: Sequence[Figure]) -> Table:
    """Return the table for a narrow terminal: a row for each figure."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    for figure in figures:
        name = TITLES.get(figure.mechanism, figure.mechanism)
        text = _cell(figure)
        text.plain = text.plain.replace("\n", ", p99 ")
        table.add_row(name, units.size(figure.size) if figure.size else "", text)
    return table


def _width(table: Table) -> int:
    return table.__rich_measure__(Console(width=1000), Console(width=1000).options).maximum


def _cell(figure: Figure, *, p99: bool = True) -> Text:
    mark = _CALLS if figure.is_mostly_calls else ""
    if figure.is_noise:
        text = Text(f"{units.as_text(figure)}{mark} {_NOISE}", style="dim")
    else:
        text = Text(f"{units.as_text(figure)}{mark} {units.spread(figure)}".rstrip())
    if p99 and figure.p99 is not None:
        text.append(f"\n{units.duration(figure.p99)}", style="dim")
    return text


def floor_sentence(report: BenchReport) -> str:
    """Return what calls cost that do nothing."""
    names = {"builtin": "a function of os", "native": "a function of libc through ctypes"}
    parts = [
        f"by {name} {units.duration(cost.empty)}, of which Python {units.duration(cost.python)}"
        for way, name in names.items()
        if (cost := report.calls.get(way)) is not None
    ]
    if (memory := report.calls.get("memory")) is not None:
        parts.append(f"in shared memory {units.duration(memory.python)} for each side of a message, all of it Python")
    return f"an empty call (getppid) {'; '.join(parts)}; a round trip is four of them or more"


def missing_sentences(report: BenchReport) -> list[str]:
    """Return a line for each reason: the mechanism, the sizes and the reason."""
    measured = {figure.mechanism for figure in report.figures}
    groups: dict[tuple[str, str], list[int]] = {}
    for entry in report.missing:
        groups.setdefault((entry.mechanism, entry.reason), []).append(entry.size if entry.mechanism in measured else 0)
    return [f"{TITLES.get(id, id)}{_of(sizes)}: {reason}" for (id, reason), sizes in groups.items()]


def _floor_and_missing(console: Console, report: BenchReport) -> None:
    console.print(Text.assemble(("floor", "bold"), f"  {floor_sentence(report)}"))
    for line in missing_sentences(report):
        console.print(Text.assemble(("not measured", "bold"), f"  {line}"))


def _of(sizes: Iterable[int]) -> str:
    named = [units.size(size) for size in sizes if size]
    return f" with {', '.join(named)}" if named else ""


def _sentence(console: Console, report: BenchReport) -> None:
    for line in sentences(judge(report.figures)):
        console.print(Text.assemble((f'"{SENTENCE}"', "bold"), f"  {line}"))
