"""pytest-ipc reproduce: write a program that makes the calls of a deviation in a report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..command_error import CommandError, writing
from ..reports import atomic
from ..reports.reader import Reader
from ..reproduce import c, python
from ..reproduce.race import race_c, race_python
from ..reproduce.race.race_calls import race_of
from ..reproduce.steps import Missing, program_of
from ..reproduce.text import Words

__all__ = ["add", "program"]

_TEXT = """\
Write a program of its own that makes the calls of a deviation in a report, compares the outcome with what the manual
says, and exits with 1 if the platform deviates: for building, debugging and bisecting without this package. It is C
with no dependency but libc, or Python with no dependency but the standard library.
"""

_EXAMPLES = """\
examples:
  pytest-ipc reproduce report.json shmget.excl-existing-key-eexist -o repro.c && cc repro.c -o repro && ./repro
  pytest-ipc reproduce --python report.json shmget.excl-existing-key-eexist | python3 -

exit status of the program:
  0  does not deviate    1  deviates    2  could not be found out: an earlier step went differently

exit status:
  0  written    2  usage error, invalid report, or a clause that does not deviate in it
  4  the report lacks what a program needs, which is named
"""

CANNOT = 4


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "reproduce",
        help="Write a C program of a deviation",
        description=_TEXT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("report", type=Path, metavar="REPORT", help="A report of check --report")
    parser.add_argument("clause", metavar="CLAUSE", help="The id of a clause that deviates in the report")
    parser.add_argument("--python", action="store_true", help="Write Python instead of C")
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help="The file (default: the terminal)")
    parser.set_defaults(command=_reproduce)


def _reproduce(options: argparse.Namespace) -> int:
    reader = Reader()
    report = reader.read(options.report)
    verdict = report.verdicts.get(options.clause)
    if verdict is None:
        raise CommandError(f"{options.report} does not judge the clause {options.clause!r}")
    if verdict.verdict != "deviates":
        raise CommandError(
            f"{options.clause} {verdict.verdict} in {options.report}: only a deviation can be reproduced"
        )
    clause = reader.clauses[options.clause]
    words = Words(
        clause.id,
        f"{clause.page}, {clause.section}",
        clause.statement,
        verdict.expected,
        verdict.observed,
        f"{report.name}, {report.platform.get('kernel', 'unknown kernel')}",
        verdict.evidence[1:] if '"race"' in verdict.trace[:10] else (),  # the timeline
    )
    try:
        if not verdict.trace:
            raise Missing("the calls: the report was made by an older version, or they are too many")
        text = program(json.loads(verdict.trace), words, is_python=options.python)
    except Missing as lack:
        print(f"pytest-ipc: no program can be made of {options.clause}: the report lacks {lack}", file=sys.stderr)
        return CANNOT
    if options.output is None:
        sys.stdout.write(text)
        return 0
    with writing("the program", options.output):
        atomic.write(options.output, text)
    return 0


def program(trace: dict[str, Any], words: Words, *, is_python: bool = False) -> str:
    """Return the source of the program of a trace. Missing."""
    if isinstance(race := trace.get("race"), dict):
        found = race_of(race)
        return race_python.source(found, words) if is_python else race_c.source(found, words)
    made = program_of(trace)
    return python.source(made, words) if is_python else c.source(made, words)
