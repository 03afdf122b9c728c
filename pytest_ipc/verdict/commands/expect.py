"""pytest-ipc expect: write the expectations of a platform from its report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..command_error import writing
from ..reports import atomic, expectations
from ..reports.expectations import EXPECTABLE, Expectation
from ..reports.reader import Clause, Reader, Report

__all__ = ["add", "as_toml"]

_TEXT = """\
Write the deviations of a report as the expectations of its platform, for `pytest-ipc check --expect`. Each clause
gets a reason: the observation, until you write the cause. If the file exists, its reasons are kept, and so are its
expectations of clauses that the report does not judge; comments are written anew.
"""

_EXAMPLES = """\
examples:
  pytest-ipc expect report.json                   show the expectations
  pytest-ipc expect report.json -o gvisor.toml    write them; again, with a newer report, update them
  pytest-ipc expect --strict report.json          with absent and untested clauses, for check --strict

exit status:
  0  written    2  usage error or invalid report
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "expect",
        help="Write a report's deviations as expectations",
        description=_TEXT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("report", type=Path, metavar="REPORT", help="A report of check --report")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="The file to write (default: the terminal)"
    )
    parser.add_argument("--strict", action="store_true", help="Also expect absent and untested clauses")
    parser.set_defaults(command=_expect)


def _expect(options: argparse.Namespace) -> int:
    reader = Reader()
    report = reader.read(options.report)
    before = expectations.read(options.output) if options.output is not None and atomic.keeps(options.output) else {}
    expected = _expected(report, before, strict=options.strict)
    text = as_toml(report, expected, reader.clauses)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    with writing("the expectations", options.output):
        atomic.write(options.output, text)
    new, gone = len(expected.keys() - before.keys()), len(before.keys() - expected.keys())
    print(
        f"{options.output}: {len(expected)} expected; {new} new, which need a reason; "
        f"{gone} removed, which unexpectedly hold"
    )
    return 0


def _expected(report: Report, before: dict[str, Expectation], *, strict: bool) -> dict[str, Expectation]:
    wanted = EXPECTABLE if strict else EXPECTABLE[:1]
    expected = {id: expectation for id, expectation in before.items() if id not in report.verdicts}
    for id, found in report.verdicts.items():
        # Kept once written, whether absent and untested are asked for this time or not.
        if found.verdict in wanted or (id in before and found.verdict == before[id].verdict):
            reason = before[id].reason if id in before else found.reason or "no reason was given"
            expected[id] = Expectation(found.verdict, reason)
        elif id in before and found.verdict in ("absent", "untested", "broken"):
            expected[id] = before[id]  # not judged this time
    return expected


def as_toml(report: Report, expected: dict[str, Expectation], clauses: dict[str, Clause]) -> str:
    """Return the file: a table for each verdict, with the clauses by id, each below its statement."""
    lines = [
        f"# Expectations of this platform: pytest-ipc {report.suite}, {report.date}.",
        "# A clause of [deviates] that holds unexpectedly holds; a deviation that is not in this file is unexpected.",
        f"platform = {_quoted(report.name)}",
    ]
    for verdict in EXPECTABLE:
        ids = sorted(id for id, expectation in expected.items() if expectation.verdict == verdict)
        if ids:
            lines += ["", f"[{verdict}]"]
        for id in ids:
            if (clause := clauses.get(id)) is not None:
                lines.append(f"# {clause.page}, {clause.section}: {clause.statement}")
            lines.append(f"{_quoted(id)} = {_quoted(expected[id].reason)}")
    return "\n".join(lines) + "\n"


def _quoted(text: Any) -> str:
    """Return a string in TOML: the JSON string, except DEL, which JSON does not escape."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
