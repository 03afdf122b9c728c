"""Measure, print the table, and write it and the samples. The options are described by --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import markdown, results, speed_page
from .against import RevisionError, compared, extracted
from .rounds import Figures, Pace, alternate
from .row import NotMeasuredError
from .series import measure as measure_series
from .table import ROWS, SERIES, find

THOROUGH = Pace(seconds=12, batch=0.02, least=7, most=300)
QUICK = Pace(seconds=1.2, batch=0.005, least=3, most=40)


def main() -> int:
    """Run the command; return 1 if a goal is missed and --strict is given."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Compare this project with its peers and with C, in alternating rounds."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"rows, all by default: {' '.join(ROWS)}; series: {' '.join(SERIES)}; SERIES@SIZE, one size of a series",
    )
    parser.add_argument("--growth", action="store_true", help="all series, too: how costs grow; half an hour")
    parser.add_argument("--quick", action="store_true", help="all rows in less than a minute, for a first impression")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each row, instead of a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples, as pyperf does")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a page with tables and charts")
    parser.add_argument(
        "--from",
        type=Path,
        dest="sources",
        action="append",
        metavar="FILE",
        help="do not measure, read this JSON file; several ones are joined, with the machine and date of the first",
    )
    parser.add_argument(
        "--against", metavar="REV", help="compare our figures with those of another revision, which take turns"
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a goal is missed")
    options = parser.parse_args()
    known = {*ROWS, *SERIES, *(row.name for series in SERIES.values() for row in series.rows().values())}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(
            f"{unknown[0]} is not a row or a series; rows are {', '.join(ROWS)}; series are {', '.join(SERIES)}"
        )
    how_long = pace(options.quick, options.rounds)
    names = options.names or [name for name, row in ROWS.items() if not (options.quick and row.slow)]
    if options.growth:
        names = [*names, *SERIES]
    if options.against:
        try:
            print(against(names, options.against, how_long))
        except RevisionError as error:
            parser.error(str(error))
        return 0
    if options.sources:
        found, metadata = results.read(*options.sources)
    else:
        metadata = results.describe()
        if not (found := measure(names, how_long)):
            print("nothing could be measured")
            return 1
    print(markdown.machine(metadata))
    for head, lines in ((markdown.HEAD, markdown.rows(found)), (markdown.GROWTH, markdown.growth(found))):
        if lines:
            print(markdown.plain([head, *lines]))
    if options.json:
        results.write(options.json, found, metadata)
    if options.markdown:
        speed_page.write(options.markdown, found, metadata)
    missed = [name for name, ways in found.items() if find(name).met(ways) is False]
    print(f"{len(missed)} goals missed{': ' if missed else ''}{', '.join(missed)}")
    return int(options.strict and bool(missed))


def pace(quick: bool, rounds: int | None) -> Pace:
    """Return how long a row is measured."""
    chosen = QUICK if quick else THOROUGH
    if rounds is None:
        return chosen
    return Pace(seconds=0, batch=0 if rounds == 1 else chosen.batch, least=rounds, most=rounds)


def measure(names: list[str], how_long: Pace) -> dict[str, dict[str, Figures]]:
    """Measure the rows *names*, with a line on standard error for each."""
    found: dict[str, dict[str, Figures]] = {}
    for name in names:
        print(name, end=" ", file=sys.stderr, flush=True)
        try:
            if name in SERIES:
                found.update(measure_series(SERIES[name], how_long))
                continue
            row = find(name)
            with row.open() as ways:
                found[name] = alternate(ways, how_long, row.loops, row.patience)
        except NotMeasuredError as reason:
            print(f"is not measured: {reason}", file=sys.stderr)
    print(file=sys.stderr)
    return found


def expanded(names: list[str]) -> list[str]:
    """Return *names* with the rows of a series instead of its name."""
    return [
        row
        for name in names
        for row in ([each.name for each in SERIES[name].rows().values()] if name in SERIES else [name])
    ]


def against(names: list[str], revision: str, how_long: Pace) -> str:
    """Return a table of the rows *names*, with this checkout and with *revision*. RevisionError."""
    found = {}
    with extracted(revision) as other:
        for name in expanded(names):
            print(name, end=" ", file=sys.stderr, flush=True)
            row = find(name)
            with compared(row, other) as ways:
                found[name] = alternate(ways, how_long, row.loops, row.patience)
    print(file=sys.stderr)
    return markdown.plain(markdown.changes(found, revision))


if __name__ == "__main__":
    sys.exit(main())
