"""pytest-ipc check: run the suite on this platform or on others."""

from __future__ import annotations

import argparse
import random
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from ..command_error import CommandError, writing
from ..reports import github
from ..reports.expectations import bundled
from . import arguments, completion, outputs

__all__ = ["add"]

# Seconds. A hanging clause has a time limit of 60; a platform that is silent for longer hangs itself.
_PATIENCE = 180.0

_MISSING = "pytest-ipc check needs the packages of its extra ({}): pip install 'pytest-ipc[conformance]'"

_CHECK = """\
Run the conformance suite on this platform: its kernel, its libc, its container. Every clause is a documented sentence
of a manual page, and gets a verdict:

  holds      behaves as documented
  deviates   does not; expected and observed behaviour are shown
  disputed   manual and Linux are known to disagree, and this platform behaves as Linux does
  absent     the platform does not have the call or the file of /proc
  untested   could not be tried here, with the reason
"""

_EXAMPLES = """\
examples:
  pytest-ipc check                      all clauses
  pytest-ipc check shm pipe             two mechanisms
  pytest-ipc check mq_send 'signal(7)'  a call and a manual page
  pytest-ipc check 'shmget.*'           the clauses that match a pattern
  pytest-ipc check --list fifo          show the clauses of a mechanism without running them
  pytest-ipc check -x -v                stop at the first deviation; show every clause that does not hold
  pytest-ipc check --expect here.toml   fail only for unexpected deviations; pytest-ipc expect writes the file
  pytest-ipc check --expect gvisor-20221219   the same with bundled expectations
  unshare -i pytest-ipc check -n 2      in its own IPC namespace, with two processes
  pytest-ipc check --platform here=python3 --platform box='ssh box python3' --report verdicts/

exit status:
  0  no clause deviates    1  a clause deviates    2  usage error    3  the suite itself failed    130  interrupted
  143  ended by SIGTERM
With --expect, --strict and --strict-expect, 1 is for unexpected verdicts only.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    check = commands.add_parser(
        "check",
        help="Run the conformance suite on this platform",
        description=_CHECK,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = check.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="A mechanism, a call, a manual page, a clause id or a pattern of ids; all clauses by default",
    )
    completion.offer(names, completion.clauses)
    check.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="Show every clause that does not hold, with all evidence; twice: every clause",
    )
    check.add_argument(
        "-q", "--quiet", action="count", default=0, help="Show a line for each unexpected verdict, and the result"
    )
    check.add_argument(
        "-x", "--exitfirst", action="store_true", help="Stop at the first deviation that is not expected"
    )
    check.add_argument(
        "--durations", type=_count, metavar="N", help="Show the N slowest clauses with their seconds; 0: all"
    )
    check.add_argument(
        "-n",
        dest="processes",
        type=_processes,
        default="0",
        metavar="N",
        help="Use N processes, or auto (default: 0, this process alone)",
    )
    check.add_argument(
        "--shuffle",
        nargs="?",
        type=int,
        const=-1,
        metavar="SEED",
        help="Run in a random order, or in that of SEED",
    )
    check.add_argument(
        "--thorough",
        action="store_true",
        help="Let the models search for hours, with new histories on every run; name the clauses",
    )
    check.add_argument("--report", type=Path, metavar="FILE", help="Also write the verdict to FILE as JSON")
    outputs.add(check)
    check.add_argument(
        "--name",
        type=arguments.platform_name,
        metavar="NAME",
        help="The name of this platform in the report (default: kernel, architecture, container)",
    )
    expect = check.add_argument(
        "--expect",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="Expected deviations: only others count. A file, or the name of bundled expectations: "
        f"{', '.join(bundled())}. Several are merged; for a clause in more than one, the last counts",
    )
    completion.offer(expect, completion.expectations)
    check.add_argument(
        "--strict",
        action="store_true",
        help="Count absent and untested clauses like deviations, unless expected; disputed clauses count as passing",
    )
    check.add_argument("--strict-expect", action="store_true", help="Also count clauses that unexpectedly hold")
    check.add_argument(
        "--annotations",
        choices=github.CHOICES,
        default="auto",
        help="Write deviations as annotations for GitHub Actions (default: if running there)",
    )
    check.add_argument(
        "--platform",
        dest="platforms",
        action="append",
        type=arguments.platform,
        metavar="NAME=COMMAND",
        help="Judge the platform on which COMMAND starts a Python, as in box='ssh box python3', instead of this one; "
        "several are judged in parallel. Nothing has to be installed there. --report and --expect are then directories "
        "with a NAME.json and a NAME.toml for each platform; bundled expectations are for all platforms",
    )
    check.add_argument(
        "--patience",
        type=arguments.seconds,
        metavar="SECONDS",
        help=f"Give up a platform that is silent for SECONDS (default: {_PATIENCE:g}, longer on a slow one)",
    )
    check.add_argument(
        "--at-once",
        type=arguments.number,
        metavar="N",
        help="Judge N platforms at a time (default: all), for platforms that share CPUs",
    )
    check.add_argument("--list", action="store_true", help="Show the clauses without running them; with -v their text")
    check.set_defaults(command=_check)


def _processes(text: str) -> str:
    if not re.fullmatch(r"auto|logical|\d{1,3}", text):
        raise argparse.ArgumentTypeError(
            f"the number of processes must be 0 (this process), a larger number, auto or logical, not {text!r}"
        )
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text):
        raise argparse.ArgumentTypeError(f"the number of clauses must be a non-negative number, not {text!r}")
    return int(text)


def _check(options: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        raise CommandError(f"the suite describes Linux, and this system is {sys.platform}")
    from .. import suite

    if options.strict_expect and not options.expect:
        raise CommandError("--strict-expect needs --expect")
    root = suite.location()
    every = suite.clauses(root)
    wanted = suite.select(every, options.names)
    if options.list:
        for clause in wanted:
            print(f"{clause.mechanism:<10} {clause.id}")
            if options.verbose:
                print(f"           {clause.page}, {clause.section}: {clause.statement}")
        return 0
    try:
        for name in ("pytest_timeout", "xdist", "hypothesis"):
            if find_spec(name) is None:
                raise ImportError(name=name)
        import rich.console  # noqa: F401 - tests whether it is installed
    except ImportError as error:
        raise CommandError(_MISSING.format(f"{error.name} is missing")) from None
    from ..reports import atomic, expectations
    from ..runner.stop import interrupted_by_signals

    outputs.prepare(options)
    seed = options.shuffle
    if seed == -1:
        seed = random.randrange(1_000_000)
    if options.platforms:
        from . import check_platforms

        # Thorough models are silent while they search.
        patience = options.patience or (None if options.thorough else _PATIENCE)
        return check_platforms.check(options, every, wanted, seed, patience, longer_if_slow=options.patience is None)
    if options.patience is not None:
        raise CommandError("--patience needs --platform")
    if options.at_once is not None:
        raise CommandError("--at-once needs --platform")
    expected = expectations.read_all(options.expect, {clause.id for clause in every})
    if options.report is not None:
        with writing("the report", options.report):
            atomic.check_writable(options.report)
    from . import check_here

    with interrupted_by_signals():
        return check_here.check(options, root, wanted, seed, expected)
