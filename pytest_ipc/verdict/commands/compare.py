"""pytest-ipc compare: show reports side by side, or one after the other."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..command_error import CommandError, writing
from ..reports.reader import Reader

__all__ = ["add"]

_TEXT = """\
Show reports of `pytest-ipc check --report` side by side: clauses x platforms, by mechanism, deviations first. Only
clauses that do not hold everywhere are shown, or all with --all. With --changes the reports are of one platform over
time, and the changes from each to the next are shown.
"""

_EXAMPLES = """\
examples:
  pytest-ipc compare host.json gvisor.json             in the terminal
  pytest-ipc compare *.json --html matrix.html         as a page to read, search and share; one file, no network
  pytest-ipc compare --changes monday.json today.json  the changes of a platform
  pytest-ipc compare --history */*.json --html m.html  the latest report of each platform, with its history

exit status:
  0  compared    1  with --changes: the last report has a new deviation
  2  usage error or invalid report; nothing is overwritten
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "compare",
        help="Show the reports of several platforms side by side",
        description=_TEXT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="A report of check --report")
    parser.add_argument("--all", action="store_true", help="Also show clauses that hold everywhere")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="Also write the comparison to FILE as a page for a browser"
    )
    parser.add_argument(
        "--link", type=Path, metavar="PAGE", help="Link the page to PAGE, which pytest-ipc bench --html has written"
    )
    parser.add_argument("--changes", action="store_true", help="Show the changes of one platform, ordered by date")
    parser.add_argument(
        "--history",
        action="store_true",
        help="Compare the latest report of each name, and show its earlier reports as its history",
    )
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> int:
    if options.link is not None and options.html is None:
        raise CommandError("--link needs --html")
    try:
        from ..reports.terminal import new_console

        if options.html is not None:
            from ..reports.matrix_html import render
    except ImportError as error:
        raise CommandError(f"pytest-ipc compare needs {error.name}: pip install 'pytest-ipc[conformance]'") from None
    from ..reports import atomic
    from ..reports.changes import steps
    from ..reports.matrix import by_platform, over_time
    from ..reports.matrix_terminal import show_changes, show_matrix

    reader = Reader()
    reports = [reader.read(path) for path in options.reports]
    if options.changes and options.history:
        raise CommandError("--changes and --history cannot be combined: the columns are reports, or platforms")
    if options.changes:
        matrix = over_time(reports, reader.clauses)
    else:
        matrix = by_platform(reports, reader.clauses, history=options.history)
    if options.html is not None:
        with writing("the page", options.html):
            atomic.write(options.html, render(matrix, options.link and atomic.address(options.link, options.html)))
    console = new_console()
    if not options.changes:
        show_matrix(console, matrix, everything=options.all)
        return 0
    found = steps(matrix)
    show_changes(console, found)
    return 1 if found[-1].of_kind("worse") else 0
