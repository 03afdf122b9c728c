"""pytest-ipc bench: latency and bandwidth between two processes, by mechanism and size of the message."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..command_error import CommandError, writing

if TYPE_CHECKING:
    from ..bench.bench_report import BenchReport
    from ..bench.mechanisms import Mechanism

__all__ = ["add"]

_TEXT = """\
Measure what a user of this platform wants to know beside correctness: the time of a round trip (median and 99th
percentile) and the bandwidth between two processes over each mechanism, for messages from 1 byte to 16 MiB; fork, exec
and context switch. Every figure has its spread over the repetitions; one that noise makes meaningless is called noise.
Loops run in Python: the cost of its calls is measured too, and shown as the floor.
"""

_EXAMPLES = """\
examples:
  pytest-ipc bench                             about two minutes
  pytest-ipc bench --quick                     some seconds: fewer sizes and repetitions
  pytest-ipc bench pipe shm-futex              two mechanisms
  pytest-ipc bench --json here.json            also as JSON
  pytest-ipc bench --compare a.json b.json     reports side by side, without measuring

exit status:
  0  measured, or compared    2  usage error    3  nothing could be measured
  130  interrupted, 143  ended by SIGTERM: with the figures so far
"""

_MISSING = "pytest-ipc bench needs {}: pip install 'pytest-ipc[conformance]'"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "bench",
        help="Measure latency and bandwidth of every mechanism",
        description=_TEXT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="A mechanism; all by default. --list shows them")
    parser.add_argument("--quick", action="store_true", help="Fewer sizes and repetitions, shorter measurements")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures to FILE as JSON")
    parser.add_argument("--name", metavar="NAME", help="The name of this platform in the report")
    parser.add_argument(
        "--compare", nargs="+", type=Path, metavar="REPORT", help="Show reports of --json side by side, measure nothing"
    )
    parser.add_argument("--list", action="store_true", help="Show the mechanisms without measuring")
    parser.set_defaults(command=_bench)


def _bench(options: argparse.Namespace) -> int:
    from ..bench.mechanisms import MECHANISMS

    if options.list:
        for mechanism in MECHANISMS:
            print(f"{mechanism.id:<16} {mechanism.title}")
        return 0
    if find_spec("rich") is None:
        raise CommandError(_MISSING.format("rich"))
    if options.compare:
        return _compare(options)
    if not sys.platform.startswith("linux"):
        raise CommandError(f"the benchmark measures Linux, and this system is {sys.platform}")
    wanted = _wanted(options.names)
    from ..reports import atomic

    if options.json is not None:
        with writing("the report", options.json):
            atomic.check_writable(options.json)
    return _measure(options, wanted)


def _wanted(names: list[str]) -> list[Mechanism]:
    from ..bench.mechanisms import MECHANISMS

    known = {mechanism.id: mechanism for mechanism in MECHANISMS}
    for name in names:
        if name not in known:
            raise CommandError(f"{name!r} is not a mechanism; pytest-ipc bench --list shows them: {', '.join(known)}")
    return [mechanism for mechanism in MECHANISMS if not names or mechanism.id in names]


def _compare(options: argparse.Namespace) -> int:
    from ..bench.bench_report import read
    from ..bench.bench_terminal import show, show_side_by_side
    from ..reports.terminal import new_console

    reports = [read(path) for path in options.compare]
    console = new_console()
    if len(reports) == 1:
        show(console, reports[0])
    else:
        show_side_by_side(console, reports)
    return 141 if console.reader_left else 0


def _measure(options: argparse.Namespace, wanted: list[Mechanism]) -> int:
    """Measure here, show and write the figures, and return the exit status."""
    from ..bench import bench_report, cpus
    from ..bench.bench_screen import Screen
    from ..bench.bench_terminal import show
    from ..bench.sampling import FULL, QUICK, Bench
    from ..reports.terminal import new_console
    from ..runner.stop import interrupted_by_signals

    console, status, load = new_console(), 0, cpus.load_average()
    screen = Screen(console)
    with interrupted_by_signals() as stop:
        bench = Bench(QUICK if options.quick else FULL, screen, wanted)
        screen.begin(bench.steps)
        try:
            bench.run()
        except KeyboardInterrupt:
            status = 128 + stop.signo
        screen.end()
        report = bench_report.of_bench(
            bench, name=options.name or "", quick=options.quick, load=load, interrupted=bool(status)
        )
        show(console, report)
        if options.json is not None:
            _write(options.json, report)
    if not report.figures:
        status = status or 3
    return 141 if console.reader_left else status


def _write(path: Path, report: BenchReport) -> None:
    from ..bench.bench_report import as_json
    from ..reports import atomic

    with writing("the report", path, status=3):
        atomic.write(path, json.dumps(as_json(report), indent=1) + "\n")
