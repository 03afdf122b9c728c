"""pytest-ipc badge: render a report as a small picture for a README."""

from __future__ import annotations

import argparse
import sys
from html import escape
from pathlib import Path

from ..command_error import writing
from ..reports import atomic
from ..reports.reader import Reader, Report

__all__ = ["add", "as_svg"]

_LABEL = "Linux IPC"
_GOOD, _KNOWN, _BAD, _NOTHING = (
    "#1a6f37",
    "#855300",
    "#b3121d",
    "#565d66",
)  # white on each has a contrast of 5:1 or more

_PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{whole}">
<title>{whole}</title>
<clipPath id="round"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#round)"><rect width="{left}" height="20" fill="#444b54"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{left_middle}" y="14" textLength="{left_text}">{label}</text>
<text x="{right_middle}" y="14" textLength="{right_text}">{words}</text>
</g>
</svg>
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "badge",
        help="Render a report as a badge for a README",
        description="Render a report as a small SVG picture: how many of the judged clauses pass. "
        "It is green if all do, brown if every deviation is expected (check --expect), red if one is not, and grey "
        "if the suite failed or no clause could be judged.",
        epilog="exit status: 0 when the file was written, 2 for a usage error or an invalid report",
    )
    parser.add_argument("report", type=Path, metavar="REPORT", help="A report of check --report")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="The file to write (default: the terminal)"
    )
    parser.set_defaults(command=_badge)


def _badge(options: argparse.Namespace) -> int:
    picture = as_svg(Reader().read(options.report))
    if options.output is None:
        sys.stdout.write(picture)
        return 0
    with writing("the badge", options.output):
        atomic.write(options.output, picture)
    return 0


def as_svg(report: Report) -> str:
    """Return the badge as SVG."""
    words, colour = _words(report)
    left_text, right_text = _width(_LABEL), _width(words)
    left, right = left_text + 10, right_text + 10
    return _PICTURE.format(
        label=_LABEL,
        words=words,
        whole=escape(f"{_LABEL} on {report.name}: {words}", quote=True),
        colour=colour,
        width=left + right,
        left=left,
        right=right,
        left_text=left_text,
        right_text=right_text,
        left_middle=left / 2,
        right_middle=left + right / 2,
    )


def _words(report: Report) -> tuple[str, str]:
    verdicts = [found.verdict for found in report.verdicts.values()]
    kept, deviating = verdicts.count("holds") + verdicts.count("disputed"), verdicts.count("deviates")
    if report.broken or "broken" in verdicts:
        return "no verdict", _NOTHING
    if not kept + deviating:
        return "nothing judged", _NOTHING
    words = f"{kept} of {kept + deviating} clauses"
    if not deviating:
        return words, _GOOD
    known = all(id in report.known for id, found in report.verdicts.items() if found.verdict == "deviates")
    return words, _KNOWN if known else _BAD


def _width(text: str) -> int:
    """Return the approximate width of *text* in Verdana 11; textLength makes it exact."""
    return round(sum(3.7 if sign in " ilj.,:" else 6.3 for sign in text)) + 2
