"""pytest-ipc check: run the suite on this platform or on others."""

from __future__ import annotations

import argparse
import random
import re
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..reports import github
from ..reports.expectations import shipped

if TYPE_CHECKING:  # what runs clauses imports pytest, for which no other command is to wait
    from collections.abc import Mapping

    from ..reports.expectations import Expectation
    from ..runner.remote import Platform
    from ..suite import ClauseTest

__all__ = ["add"]

# Of a clause that hangs, the time limit is 60 seconds; a platform that says nothing for so long is itself what hangs.
_PATIENCE = 180.0

_MISSING = "pytest-ipc check needs the packages of its extra ({}): pip install 'pytest-ipc[conformance]'"

_CHECK = """\
Run the conformance suite on the platform this command stands on: its kernel, its libc, its container. Every clause is a
documented sentence of a manual page, and gets a verdict:

  holds      it is as the manual says
  deviates   it is not; what was expected and what came is shown
  disputed   manual and Linux are known to disagree, and this platform sides with Linux
  absent     the platform has no such call, or no such file of /proc
  untested   it could not be tried here, and the reason
"""

_EXAMPLES = """\
examples:
  pytest-ipc check                      everything
  pytest-ipc check shm pipe             two mechanisms
  pytest-ipc check 'shmget.*'           the clauses that a pattern matches
  pytest-ipc check --list fifo          the clauses of a mechanism, without running them
  pytest-ipc check --expect here.toml   only what is not known of this platform; pytest-ipc expect writes the file
  pytest-ipc check --expect gvisor-20221219   only what is not known of a platform that many people meet
  unshare -i pytest-ipc check -n 2      in an IPC namespace of its own, on two processors
  pytest-ipc check --platform here=python3 --platform box='ssh box python3' --report verdicts/

exit status:
  0  nothing deviates    1  something does    2  wrong usage    3  the suite itself broke    130  interrupted
143  ended by SIGTERM
With --expect, --strict and --strict-expect, 1 is for what is not expected.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the command line."""
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
        "--expect",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="What is known of this platform: only other deviations count. A file, or the name of one that comes with "
        f"pytest-ipc: {', '.join(shipped())}. Several add up; of a clause in more than one, the last counts",
    )
    check.add_argument(
        "--strict",
        action="store_true",
        help="What is absent or untested counts as what deviates, unless it is expected; a disputed clause counts as kept",
    )
    check.add_argument("--strict-expect", action="store_true", help="What is expected to deviate and holds counts, too")
    check.add_argument(
        "--annotations",
        choices=github.CHOICES,
        default="auto",
        help="Write deviations as GitHub Actions shows them beside a run (default: where it runs there)",
    )
    check.add_argument(
        "--platform",
        dest="platforms",
        action="append",
        type=_platform,
        metavar="NAME=COMMAND",
        help="Judge what COMMAND starts a Python on, as in box='ssh box python3', and not this platform; several are judged "
        "side by side. Nothing has to be installed there. --report and --expect are folders then, with a NAME.json and a "
        "NAME.toml for each platform",
    )
    check.add_argument(
        "--patience",
        type=_seconds,
        metavar="SECONDS",
        help=f"How long a platform may say nothing before it is given up (default: {_PATIENCE:g}, on a slow one longer)",
    )
    check.add_argument(
        "--at-once",
        type=_number,
        metavar="N",
        help="Judge N platforms at a time (default: all). Those that share processors make each other wait",
    )
    check.add_argument("--list", action="store_true", help="Name the clauses and run none")
    check.set_defaults(command=_check)


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


def _platform(text: str) -> Platform:
    import shlex

    from ..runner.remote import Platform

    name, separator, command = text.partition("=")
    if not separator or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise argparse.ArgumentTypeError(f"{text!r} is no platform: it should look like box='ssh box python3'")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the command of {name} cannot be split into words: {error}") from None
    if not words or "\0" in command:
        raise argparse.ArgumentTypeError(f"{text!r} has no command that starts a Python")
    return Platform(name, words)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def _number(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of platforms")
    return int(text)


def _usage_error(text: str) -> int:
    print(f"pytest-ipc: {text}", file=sys.stderr)
    return 2


def _check(options: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        return _usage_error(f"the suite states how Linux behaves, and this system is {sys.platform}")
    from .. import suite

    if options.strict_expect and not options.expect:
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
        import rich.console  # noqa: F401 - whether it is there
    except ImportError as error:
        return _usage_error(_MISSING.format(f"{error.name} is missing"))
    from ..reports import atomic, expectations
    from ..runner.stop import interrupted_by_signals

    seed = options.shuffle
    if seed == -1:
        seed = random.randrange(1_000_000)
    if options.platforms:
        from . import check_platforms

        # Thorough models say nothing for as long as they look.
        patience = options.patience or (None if options.thorough else _PATIENCE)
        return check_platforms.check(options, every, wanted, seed, patience, longer_if_slow=options.patience is None)
    if options.patience is not None:
        return _usage_error("--patience is for the platforms of --platform, and there is none")
    if options.at_once is not None:
        return _usage_error("--at-once is about the platforms of --platform, and there is none")
    try:
        expected = expectations.read_all(options.expect, {clause.id for clause in every})
    except expectations.ExpectationError as error:
        return _usage_error(str(error))
    if options.report is not None:
        try:
            atomic.check_writable(options.report)
        except OSError as error:
            return _usage_error(f"the report cannot be written to {options.report}: {error.strerror}")
    with interrupted_by_signals():
        return _judge(options, root, wanted, seed, expected)


def _judge(
    options: argparse.Namespace,
    root: Path,
    wanted: list[ClauseTest],
    seed: int | None,
    expected: Mapping[str, Expectation],
) -> int:
    """Run the clauses here and report what came of it. The exit status."""
    from ..platform.describe import describe, short_name
    from ..reports import expectations, writer
    from ..reports.terminal import Screen, new_console
    from ..runner.run import run

    console = new_console()
    screen = Screen(console)
    platform = describe()
    screen.begin(platform, len(wanted))
    if seed is not None:
        screen.console.print(f"in the random order of --shuffle {seed}")
    result = run(root, wanted, screen.told, processes=options.processes, shuffle=seed, thorough=options.thorough)
    reckoning = expectations.reckon(result, expected, strict=options.strict)
    status = reckoning.exit_status(result, strict_expect=options.strict_expect)
    screen.end(result, reckoning)
    if github.is_wanted(options.annotations):
        for line in github.github(result, reckoning):
            console.out(line, highlight=False)
    if options.report is not None:
        found = writer.as_json(options.name or short_name(platform), platform, result, reckoning, exit_status=status)
        try:
            writer.write(options.report, found)
        except OSError as error:
            print(f"pytest-ipc: the report could not be written to {options.report}: {error.strerror}", file=sys.stderr)
            return 3
    return 141 if console.reader_left else status
