"""Measure, print the table, and write it and the samples. The options are described by --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import markdown, results
from .against import RevisionError, compared, extracted
from .rounds import Figures, Pace, alternate
from .row import NotMeasuredError
from .table import ROWS

THOROUGH = Pace(seconds=12, batch=0.02, least=7, most=300)
QUICK = Pace(seconds=1.2, batch=0.005, least=3, most=40)


def main() -> int:
    """Run the command; return 1 if a goal is missed and --strict is given."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Compare this project with its peers and with C, in alternating rounds."
    )
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"rows, all by default: {' '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="all rows in less than a minute, for a first impression")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each row, instead of a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples, as pyperf does")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="do not measure, read this JSON file")
    parser.add_argument(
        "--against", metavar="REV", help="compare our figures with those of another revision, which take turns"
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a goal is missed")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in ROWS]:
        parser.error(f"{unknown[0]} is not a row; rows are {', '.join(ROWS)}")
    how_long = pace(options.quick, options.rounds)
    names = options.names or [name for name, row in ROWS.items() if not (options.quick and row.slow)]
    if options.against:
        try:
            print(against(names, options.against, how_long))
        except RevisionError as error:
            parser.error(str(error))
        return 0
    if options.source:
        found, metadata = results.read(options.source)
    else:
        metadata = results.describe()
        found = measure(names, how_long)
    print(markdown.machine(metadata))
    print(markdown.plain([markdown.HEAD, *markdown.rows(found, ROWS)]))
    if options.json:
        results.write(options.json, found, ROWS, metadata)
    if options.markdown:
        options.markdown.write_text(f"{markdown.machine(metadata)}\n\n{markdown.table(found, ROWS)}")
    missed = [name for name, ways in found.items() if name in ROWS and ROWS[name].met(ways) is False]
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
    found = {}
    for name in names:
        print(name, end=" ", file=sys.stderr, flush=True)
        try:
            with ROWS[name].open() as ways:
                found[name] = alternate(ways, how_long, ROWS[name].loops, ROWS[name].patience)
        except NotMeasuredError as reason:
            print(f"is not measured: {reason}", file=sys.stderr)
    print(file=sys.stderr)
    return found


def against(names: list[str], revision: str, how_long: Pace) -> str:
    """Return a table of the rows *names*, with this checkout and with *revision*. RevisionError."""
    found = {}
    with extracted(revision) as other:
        for name in names:
            print(name, end=" ", file=sys.stderr, flush=True)
            with compared(name, other) as ways:
                found[name] = alternate(ways, how_long, ROWS[name].loops, ROWS[name].patience)
    print(file=sys.stderr)
    return markdown.plain(markdown.changes(found, ROWS, revision))


if __name__ == "__main__":
    sys.exit(main())
