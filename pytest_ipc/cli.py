"""The command pytest-ipc: arguments, exit status, and one sentence for each usage error.

Each command has a room, which imports what it needs when it is called: `status` is not to wait for pytest.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence

from ._version import __version__
from .printable import plain
from .verdict.commands import badge, bundle, check, compare, expect, platform


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
    except KeyboardInterrupt as error:
        print("pytest-ipc: interrupted", file=sys.stderr)
        return 128 + getattr(signal, str(error), signal.SIGINT)  # the text is the signal's name if it was not SIGINT
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-ipc",
        description="IPC objects that cannot outlive their test, and whether this platform's IPC is as its manual pages say.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-ipc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check.add(commands)
    platform.add(commands)
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
        return _usage_error(plain(f"{error.filename}: {error.strerror}"))
    _print_anything()
    for line in done.removed:
        print(f"{'would remove' if options.dry_run else 'removed'} {line}")
    for line in done.left:
        print(f"left {line}")
    for line in done.refused:
        print(f"refused {line}")
    looked = ", ".join(map(plain, done.places))
    if not looked:
        print("nothing was left behind: there is no directory of ledgers")
    elif not (done.removed or done.left or done.refused):
        print(f"nothing was left behind in {looked}")
    else:
        print(f"looked in {looked}")
    return 1 if done.left or done.refused else 0


def _status(_options: argparse.Namespace) -> int:
    from .custody.home import HomeError
    from .custody.status import status

    _print_anything()
    try:
        for line in status():
            print(line)
    except HomeError as error:
        return _usage_error(plain(f"{error.filename}: {error.strerror}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
