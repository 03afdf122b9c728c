"""The command pytest-ipc: its arguments, its exit status, and one sentence for whatever is wrong with them."""

from __future__ import annotations

import argparse
import io
import os
import random
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from . import __version__
from .verdict import abroad, annotate, badge, bundle, compare, diagnosis, expect

_MISSING = "pytest-ipc check needs the packages of its extra ({}): pip install 'pytest-ipc[conformance]'"

_CHECK = """\
Run the conformance suite on the platform this command stands on: its kernel, its libc, its container. Every clause is a
documented sentence of a manual page, and gets a verdict:

  holds      it is as the manual says
  deviates   it is not; what was expected and what came is shown
  disputed   manual and Linux are known to disagree, and this platform sides with Linux
  absent     the platform has no such call
  untested   it could not be tried here, and the reason
"""

_EXAMPLES = """\
examples:
  pytest-ipc check                      everything
  pytest-ipc check shm pipe             two mechanisms
  pytest-ipc check 'shmget.*'           the clauses that a pattern matches
  pytest-ipc check --list fifo          the clauses of a mechanism, without running them
  pytest-ipc check --expect here.toml   only what is not known of this platform; pytest-ipc expect writes the file
  unshare -i pytest-ipc check -n 2      in an IPC namespace of its own, on two processors
  pytest-ipc check --platform here=python3 --platform box='ssh box python3' --report verdicts/

exit status:
  0  nothing deviates    1  something does    2  wrong usage    3  the suite itself broke    130  interrupted
With --expect, --strict and --strict-expect, 1 is for what is not expected.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        sys.stdout.flush()  # here, where it can be told from a failure, and not when the interpreter ends
    except BrokenPipeError:
        # Whoever read the output has left; that is no failure of the check, and nothing more can be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-ipc",
        description="IPC objects that cannot outlive their test, and whether this platform's IPC is as its manual pages say.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-ipc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="Judge this platform, clause by clause",
        description=_CHECK,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "names", nargs="*", metavar="NAME", help="A mechanism, a clause id or a pattern of ids; everything by default"
    )
    check.add_argument(
        "-n",
        dest="processes",
        type=_processes,
        default="0",
        metavar="N",
        help="Use N processes, or auto (default: one)",
    )
    check.add_argument(
        "--shuffle",
        nargs="?",
        type=int,
        const=-1,
        metavar="SEED",
        help="Run in a random order, or in the one that SEED gives",
    )
    check.add_argument(
        "--thorough",
        action="store_true",
        help="Let the models look for differences for hours, with new histories on every run; name those you mean",
    )
    check.add_argument("--report", type=Path, metavar="FILE", help="Write the verdict to FILE as JSON, too")
    check.add_argument(
        "--name",
        type=_platform_name,
        metavar="NAME",
        help="What the report calls this platform (default: kernel, architecture, container)",
    )
    check.add_argument(
        "--expect", type=Path, metavar="FILE", help="What is known of this platform: only other deviations count"
    )
    check.add_argument(
        "--strict",
        action="store_true",
        help="What is absent or untested counts as what deviates, unless it is expected; a disputed clause counts as kept",
    )
    check.add_argument("--strict-expect", action="store_true", help="What is expected to deviate and holds counts, too")
    check.add_argument(
        "--annotations",
        choices=annotate.CHOICES,
        default="auto",
        help="Write deviations as GitHub Actions shows them beside a run (default: where it runs there)",
    )
    abroad.add(check)
    check.add_argument("--list", action="store_true", help="Name the clauses and run none")
    check.set_defaults(command=_check)
    diagnosis.add(commands)
    expect.add(commands)
    compare.add(commands)
    badge.add(commands)
    sweep = commands.add_parser(
        "sweep",
        help="Remove what dead runs have left",
        description="Remove the IPC objects and end the processes that runs of pytest have left, which died before they could. "
        "Only what the ledgers of dead processes record, and the kernel confirms to be that, is touched; what cannot be "
        "proved is left and named. The reaper of each run and the start of the next do the same.",
        epilog="exit status: 0 when nothing is left, 1 when something had to be left, 2 for wrong usage",
    )
    sweep.add_argument("--dry-run", action="store_true", help="Say what would be removed and touch nothing")
    sweep.set_defaults(command=_sweep)
    status = commands.add_parser(
        "status",
        help="List what runs own now",
        description="List the IPC objects and child processes that running tests own now: by whom, since when, made by which "
        "test, in which IPC namespace; and where the ledgers lie.",
    )
    status.set_defaults(command=_status)
    bundle.add(commands)
    return parser


def _processes(text: str) -> str:
    if not re.fullmatch(r"auto|logical|\d{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: a number, or auto")
    return text


def _platform_name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a platform: at most 100 characters that can be printed"
        )
    return text.strip()


def _usage_error(text: str) -> int:
    print(f"pytest-ipc: {text}", file=sys.stderr)
    return 2


def _print_anything() -> None:
    """A path may hold what the terminal's encoding does not."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _sweep(options: argparse.Namespace) -> int:
    from .custody.home import HomeError
    from .custody.sweep import sweep

    try:
        done = sweep(dry_run=options.dry_run)
    except HomeError as error:
        return _usage_error(f"{error.filename}: {error.strerror}")
    _print_anything()
    for line in done.removed:
        print(f"{'would remove' if options.dry_run else 'removed'} {line}")
    for line in done.left:
        print(f"left {line}")
    for line in done.refused:
        print(f"refused {line}")
    if not (done.removed or done.left or done.refused):
        print("nothing was left behind")
    return 1 if done.left or done.refused else 0


def _status(_options: argparse.Namespace) -> int:
    from .custody.home import HomeError
    from .custody.status import status

    _print_anything()
    try:
        for line in status():
            print(line)
    except HomeError as error:
        return _usage_error(f"{error.filename}: {error.strerror}")
    return 0


def _check(options: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        return _usage_error(f"the suite states how Linux behaves, and this system is {sys.platform}")
    from .verdict import suite

    if options.strict_expect and options.expect is None:
        return _usage_error("--strict-expect is about what --expect expects, and there is none")
    try:
        root = suite.location()
        every = suite.clauses(root)
        wanted = suite.select(every, options.names)
    except (suite.UnknownClause, FileNotFoundError) as error:
        return _usage_error(str(error))
    if options.list:
        for clause in wanted:
            print(f"{clause.mechanism:<10} {clause.id}")
        return 0
    try:
        for name in ("pytest_timeout", "xdist", "hypothesis"):
            if find_spec(name) is None:
                raise ImportError(name=name)
        from rich.console import Console

        from .verdict.screen import Screen
    except ImportError as error:
        return _usage_error(_MISSING.format(f"{error.name} is missing"))
    from .verdict import expectations, output, report
    from .verdict.platform import describe, short_name
    from .verdict.run import run

    seed = options.shuffle
    if seed == -1:
        seed = random.randrange(1_000_000)
    if options.platforms:
        return abroad.check(options, every, wanted, seed)
    if options.patience is not None:
        return _usage_error("--patience is for the platforms of --platform, and there is none")
    expected: dict[str, expectations.Expectation] = {}
    if options.expect is not None:
        try:
            expected = expectations.read(options.expect, {clause.id for clause in every})
        except expectations.ExpectationError as error:
            return _usage_error(str(error))
    if options.report is not None:
        try:
            output.check_writable(options.report)
        except OSError as error:
            return _usage_error(f"the report cannot be written to {options.report}: {error.strerror}")

    # What is not a terminal has no width: a log's lines must not be cut where nobody's screen ends.
    screen = Screen(Console(highlight=False, width=None if sys.stdout.isatty() else 1000))
    platform = describe()
    screen.begin(platform, len(wanted))
    if seed is not None:
        screen.console.print(f"in the random order of --shuffle {seed}")
    result = run(root, wanted, screen.told, processes=options.processes, shuffle=seed, thorough=options.thorough)
    reckoning = expectations.reckon(result, expected, strict=options.strict)
    status = reckoning.exit_status(result, strict_expect=options.strict_expect)
    screen.end(result, reckoning)
    if annotate.is_wanted(options.annotations):
        for line in annotate.github(result, reckoning):
            print(line)
    if options.report is not None:
        found = report.as_json(options.name or short_name(platform), platform, result, reckoning, exit_status=status)
        try:
            report.write(options.report, found)
        except OSError as error:
            print(f"pytest-ipc: the report could not be written to {options.report}: {error.strerror}", file=sys.stderr)
            return 3
    return status


if __name__ == "__main__":
    sys.exit(main())
