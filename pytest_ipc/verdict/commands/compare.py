"""pytest-ipc compare: show reports side by side, or one after the other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..reports.reader import Reader, ReportError

__all__ = ["add"]

_TEXT = """\
Show reports of `pytest-ipc check --report` side by side: clauses x platforms, by mechanism, what deviates first. Only what
does not hold everywhere is shown, or everything with --all. With --changes the reports are of one platform over time, and
what changed from each to the next is shown.
"""

_EXAMPLES = """\
examples:
  pytest-ipc compare host.json gvisor.json             in the terminal
  pytest-ipc compare *.json --html matrix.html         as a page to read, search and share; one file, no network
  pytest-ipc compare --changes monday.json today.json  what changed since

exit status:
  0  compared    1  with --changes: a clause deviates in the last report that did not in the one before
  2  wrong usage, or a file that is no report; nothing is overwritten then
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the command line."""
    parser = commands.add_parser(
        "compare",
        help="Show the reports of several platforms side by side",
        description=_TEXT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="What check --report has written")
    parser.add_argument("--all", action="store_true", help="Show what holds everywhere, too")
    parser.add_argument("--html", type=Path, metavar="FILE", help="Write it to FILE as a page for a browser, too")
    parser.add_argument(
        "--changes", action="store_true", help="Show what changed on one platform, by the reports' dates"
    )
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> int:
    try:
        from rich.console import Console

        if options.html is not None:
            from ..reports.matrix_html import render
    except ImportError as error:
        return _usage_error(f"pytest-ipc compare needs {error.name}: pip install 'pytest-ipc[conformance]'")
    from ..reports import atomic
    from ..reports.changes import steps
    from ..reports.matrix import ComparisonError, by_platform, over_time
    from ..reports.matrix_terminal import show_changes, show_matrix

    reader = Reader()
    try:
        reports = [reader.read(path) for path in options.reports]
        matrix = (over_time if options.changes else by_platform)(reports, reader.clauses)
    except (ReportError, ComparisonError) as error:
        return _usage_error(str(error))
    if options.html is not None:
        try:
            atomic.write(options.html, render(matrix))
        except OSError as error:
            return _usage_error(f"the page cannot be written to {options.html}: {error.strerror}")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    if not options.changes:
        show_matrix(console, matrix, everything=options.all)
        return 0
    found = steps(matrix)
    show_changes(console, found)
    return 1 if found[-1].of_kind("worse") else 0


def _usage_error(text: str) -> int:
    print(f"pytest-ipc: {text}", file=sys.stderr)
    return 2
