"""pytest-ipc check without --platform: run the suite here, show the result, write the files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from ...printable import counted
from ..command_error import writing
from ..platform.describe import describe, short_name
from ..reports import atomic, expectations, github, writer
from ..reports.judged import Judged
from ..reports.next_steps import next_steps
from ..reports.terminal import Screen, new_console, print_hanging, slowest
from ..runner.run import run
from ..suite import ClauseTest
from . import outputs

__all__ = ["check"]


def check(
    options: argparse.Namespace,
    root: Path,
    wanted: list[ClauseTest],
    seed: int | None,
    expected: Mapping[str, expectations.Expectation],
) -> int:
    """Run the clauses *wanted*, and return the exit status."""
    console = new_console()
    screen = Screen(console, options.verbose - options.quiet)
    platform = describe()
    screen.begin(platform, len(wanted))
    if seed is not None:
        console.print(f"in the random order of --shuffle {seed}")
    kernel = platform.get("kernel", "")
    meant = {id: expectation.on(kernel) for id, expectation in expected.items()}
    known = {id for id, expectation in meant.items() if expectation is not None and expectation.verdict == "deviates"}
    started, start = datetime.now(UTC), monotonic()
    result = run(
        root,
        wanted,
        screen.judged,
        processes=options.processes,
        shuffle=seed,
        thorough=options.thorough,
        stop_unless=known if options.exitfirst else None,
    )
    seconds = monotonic() - start
    comparison = expectations.compare(result, expected, strict=options.strict, kernel=kernel)
    status = comparison.exit_status(result, strict_expect=options.strict_expect)
    screen.end(result, comparison)
    if options.durations is not None:
        console.print("\nslowest clauses")
        for line in slowest(result, options.durations):
            console.print(line)
    if screen.verbosity >= 0:
        console.print(f"{counted(len(result.results), 'clause')} in {seconds:.1f} s")
    if github.is_wanted(options.annotations):
        for line in github.github(result, comparison):
            console.out(line, highlight=False)
    name = options.name or short_name(platform)
    written = []
    if options.report is not None:
        found = writer.as_json(name, platform, result, comparison, exit_status=status)
        with writing("the report", options.report, status=3):
            writer.write(options.report, found)
        written = [options.report] if atomic.keeps(options.report) else []
    report = written[0] if written else None
    written += outputs.write(options, [Judged(name, platform, result, comparison, started, seconds)])
    if screen.verbosity >= 0:
        if written:
            console.print(f"written: {', '.join(map(str, written))}", markup=False)
        for step in next_steps(result, comparison, report, platform):
            print_hanging(console, "next: ", step)
    return status
