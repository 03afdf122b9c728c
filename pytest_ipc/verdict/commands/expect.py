"""pytest-ipc expect: write the expectations of a platform from its report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
expectations of clauses that the report does not judge; comments are written anew. Of several reports of one platform a
clause that deviates in some and holds in others is expected to deviate sometimes, with how often.
"""

_EXAMPLES = """\
examples:
  pytest-ipc expect report.json                   show the expectations
  pytest-ipc expect report.json -o gvisor.toml    write them; again, with a newer report, update them
  pytest-ipc expect run-*.json -o gvisor.toml     of several runs: what deviates in some of them may also hold
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
    parser.add_argument(
        "report", type=Path, nargs="+", metavar="REPORT", help="A report of check --report; several of one platform"
    )
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="The file to write (default: the terminal)"
    )
    parser.add_argument("--strict", action="store_true", help="Also expect absent and untested clauses")
    parser.set_defaults(command=_expect)


def _expect(options: argparse.Namespace) -> int:
    reader = Reader()
    reports = [reader.read(path) for path in options.report]
    exists = options.output is not None and atomic.keeps(options.output)
    before = expectations.read(options.output) if exists else {}
    signs = expectations.signs(options.output) if exists else {}
    expected = _expected(reports, before, strict=options.strict)
    text = as_toml(reports[-1], expected, reader.clauses, signs)
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


def _expected(reports: Sequence[Report], before: Mapping[str, Expectation], *, strict: bool) -> dict[str, Expectation]:
    wanted = EXPECTABLE if strict else EXPECTABLE[:1]
    verdicts = {id: None for report in reports for id in report.verdicts}
    expected = {id: expectation for id, expectation in before.items() if id not in verdicts}
    for id in verdicts:
        runs = [report.verdicts[id] for report in reports if id in report.verdicts]
        # The gravest verdict of all runs: EXPECTABLE has the gravest first.
        found = min(runs, key=lambda each: (*EXPECTABLE, each.verdict).index(each.verdict))
        known = before.get(id)
        # Kept once written, whether absent and untested are asked for this time or not.
        if found.verdict in wanted or (known is not None and found.verdict == known.verdict):
            often = _often(found.verdict, [each.verdict for each in runs])
            known = known or Expectation(found.verdict, found.reason or "no reason was given")
            expected[id] = replace(known, verdict=found.verdict, sometimes=often or known.sometimes)
        elif known is not None and (known.sometimes or found.verdict in ("absent", "untested", "broken")):
            expected[id] = known  # not judged this time, or one of the times when it holds
    return expected


def _often(verdict: str, runs: Sequence[str]) -> str:
    """Return how many runs of several gave the verdict, unless all did; "" also if the others did not judge it."""
    others = sum(each in ("holds", "disputed") for each in runs)
    return f"{runs.count(verdict)} of {runs.count(verdict) + others} runs" if others and verdict == "deviates" else ""


def as_toml(
    report: Report,
    expected: Mapping[str, Expectation],
    clauses: Mapping[str, Clause],
    signs: Mapping[str, str] | None = None,
) -> str:
    """Return the file: a table for each verdict, with the clauses by id, each below its statement."""
    lines = [
        f"# Expectations of this platform: pytest-ipc {report.suite}, {report.date}.",
        "# A clause of [deviates] that holds unexpectedly holds; a deviation that is not in this file is unexpected.",
        f"platform = {_quoted(report.name)}",
    ]
    if signs:
        lines.append("recognised = { " + ", ".join(f"{name} = {_quoted(text)}" for name, text in signs.items()) + " }")
    for verdict in EXPECTABLE:
        ids = sorted(id for id, expectation in expected.items() if expectation.verdict == verdict)
        if ids:
            lines += ["", f"[{verdict}]"]
        for id in ids:
            if (clause := clauses.get(id)) is not None:
                lines.append(f"# {clause.page}, {clause.section}: {clause.statement}")
            lines.append(f"{_quoted(id)} = {_entry(expected[id])}")
    return "\n".join(lines) + "\n"


def _entry(expectation: Expectation) -> str:
    """Return the reason, or a table if there is more."""
    more = {name: getattr(expectation, name) for name in ("sometimes", "since", "before")}
    if not any(more.values()):
        return _quoted(expectation.reason)
    parts = {"reason": expectation.reason} | {name: text for name, text in more.items() if text}
    return "{ " + ", ".join(f"{name} = {_quoted(text)}" for name, text in parts.items()) + " }"


def _quoted(text: Any) -> str:
    """Return a string in TOML: the JSON string, except DEL, which JSON does not escape."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
