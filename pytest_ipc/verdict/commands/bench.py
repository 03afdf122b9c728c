"""pytest-ipc bench: latency and bandwidth between two processes, by mechanism and size of the message."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..command_error import CommandError, writing
from . import arguments

if TYPE_CHECKING:
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
  pytest-ipc bench --html bench.html           also as a page with charts; one file, no network
  pytest-ipc bench --compare a.json b.json     reports side by side, without measuring
  pytest-ipc bench --platform here=python3 --platform box='ssh box python3' --json figures/

exit status:
  0  measured, or compared    2  usage error    3  nothing could be measured
  130  interrupted, 143  ended by SIGTERM: with the figures so far
"""

# Seconds that a platform may be silent, longer on a slow one.
_PATIENCE = 180.0

_MISSING = "pytest-ipc bench{} needs {}: pip install 'pytest-ipc[conformance]'"


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
    parser.add_argument("--html", type=Path, metavar="FILE", help="Also write a page with tables and charts to FILE")
    parser.add_argument(
        "--link", type=Path, metavar="PAGE", help="Link the page to PAGE, which pytest-ipc compare --html has written"
    )
    parser.add_argument(
        "--name",
        type=arguments.platform_name,
        metavar="NAME",
        help="The name of this platform in the report (default: kernel, architecture, container)",
    )
    parser.add_argument(
        "--compare", nargs="+", type=Path, metavar="REPORT", help="Show reports of --json side by side, measure nothing"
    )
    parser.add_argument(
        "--platform",
        dest="platforms",
        action="append",
        type=arguments.platform,
        metavar="NAME=COMMAND",
        help="Measure the platform on which COMMAND starts a Python, as in box='ssh box python3', instead of this one. "
        "Nothing has to be installed there. --json is then a directory with a NAME.json for each platform",
    )
    parser.add_argument(
        "--patience",
        type=arguments.seconds,
        metavar="SECONDS",
        help=f"Give up a platform that is silent for SECONDS (default: {_PATIENCE:g}, longer on a slow one)",
    )
    parser.add_argument(
        "--at-once",
        type=arguments.number,
        metavar="N",
        help="Measure N platforms at a time (default: 1, as platforms of one machine would measure each other)",
    )
    parser.add_argument("--list", action="store_true", help="Show the mechanisms without measuring")
    parser.set_defaults(command=_bench)


def _bench(options: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        raise CommandError(f"the benchmark measures Linux, and this system is {sys.platform}")
    from ..bench.mechanisms import MECHANISMS, named

    if options.list:
        for mechanism in MECHANISMS:
            print(f"{mechanism.id:<16} {mechanism.title}")
        return 0
    wanted = named(options.names)
    _check(options)
    if options.compare:
        return _compare(options)
    if options.platforms:
        from . import bench_platforms

        patience = options.patience or _PATIENCE
        return bench_platforms.measure(options, patience, longer_if_slow=options.patience is None)
    return _measure(options, wanted)


def _check(options: argparse.Namespace) -> None:
    """Check everything before a long run. CommandError."""
    needed = ["rich", *(["jinja2", "pygal"] if options.html else [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise CommandError(_MISSING.format(" --html" if missing != ["rich"] else "", ", ".join(missing)))
    if options.link is not None and options.html is None:
        raise CommandError("--link needs --html")
    if options.platforms:
        arguments.check_names(options.platforms, options.name)
    elif options.patience is not None or options.at_once is not None:
        raise CommandError("--patience and --at-once need --platform")
    from ..reports import atomic

    if options.json is not None and options.platforms:
        arguments.prepare_folder("--json", options.json, options.platforms)
    elif options.json is not None:
        with writing("the report", options.json):
            atomic.check_writable(options.json)
    if options.html is not None:
        with writing("the page", options.html):
            atomic.check_writable(options.html)


def _compare(options: argparse.Namespace) -> int:
    from ..bench.bench_output import show
    from ..bench.bench_report import read
    from ..reports.terminal import new_console

    if options.json is not None or options.platforms or options.quick or options.names:
        raise CommandError("--compare measures nothing: it cannot be used with names, --quick, --json or --platform")
    console = new_console()
    show(console, [read(path) for path in options.compare], options.html, options.link)
    return 0


def _measure(options: argparse.Namespace, wanted: list[Mechanism]) -> int:
    """Measure here, show and write the figures, and return the exit status."""
    from ..bench import bench_report, cpus
    from ..bench.bench_output import show, write
    from ..bench.bench_screen import Screen
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
        if options.json is not None:
            write(options.json, report)
        show(console, [report], options.html, options.link)
    if not report.figures:
        status = status or 3
    return status
